//! The word filter: finds the words of a list in messages, and masks them or refuses the message.
//!
//! The list is a text file, one word or phrase on each line; blank lines are ignored, and so is a `#` that begins a line or
//! follows a space, with all behind it.
//! What counts as the same text:
//!
//! - Upper and lower case, by Unicode's mappings of each character: `STRASSE` is `straße`, `ΣΊΣΥΦΟΣ` is `σίσυφος`.
//! - The full-width forms that East Asian keyboards make of ASCII: `ＢＡＤ` is `bad`.
//! - Text with and without characters that can't be seen, such as zero-width spaces and soft hyphens.
//!
//! Where letters are written in words with spaces between them, as Latin ones are, a word matches only as a whole:
//! `ass` is not in `class`. Where they are not (Chinese, Japanese, Korean with its particles, Thai, …) it matches
//! anywhere. Words that overlap are masked together, so of several at one place the longest counts.
//!
//! Never looks for what a word means, how it is misspelled, or what it sounds like.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::AhoCorasick;

use crate::config::WordsMode;

/// The largest file.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// The longest word, in characters.
pub const MAX_WORD_CHARS: usize = 100;

/// The message holds a word that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message holds a word that is not allowed here")]
pub struct ForbiddenWord;

/// Why a list of words can't be used.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// The file can't be read.
    #[error("im.words_file: can't read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A line is wrong.
    #[error("im.words_file: {}, line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The words together are too much.
    #[error("im.words_file: {}: {problem}", path.display())]
    TooMuch {
        /// The file.
        path: PathBuf,
        /// What is.
        problem: String,
    },
}

/// A list of words, and what is done about them. Its methods may be called from any thread.
pub struct Words {
    path: PathBuf,
    mode: WordsMode,
    list: RwLock<Arc<AhoCorasick>>,
}

impl Words {
    /// Reads the list. Blocks on the file, and takes a while for a long one.
    ///
    /// # Errors
    /// The file can't be read or used.
    pub fn load(path: &Path, mode: WordsMode) -> Result<Self, WordsError> {
        let list = RwLock::new(Arc::new(read(path)?));
        Ok(Self { path: path.to_owned(), mode, list })
    }

    /// Reads the list again, and returns how many words there are. Blocks as [`Words::load`].
    ///
    /// # Errors
    /// The file can't be read or used. Then the old list stays.
    pub fn reload(&self) -> Result<usize, WordsError> {
        let list = read(&self.path)?;
        let count = list.patterns_len();
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
        Ok(count)
    }

    /// The text as it may be passed on: without a word of the list, or with every character of one as `*`. As many
    /// characters as before, and no more bytes.
    ///
    /// # Errors
    /// There is a word of the list in it, and such messages are refused.
    pub fn check<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, ForbiddenWord> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner).clone();
        let folded: String = seen(text).flat_map(|(_, c)| fold(c)).collect();
        let mut found = matches(&list, &folded).peekable();
        if found.peek().is_none() {
            return Ok(Cow::Borrowed(text));
        }
        match self.mode {
            WordsMode::Refuse => Err(ForbiddenWord),
            WordsMode::Mask => Ok(Cow::Owned(mask(text, &together(found)))),
        }
    }
}

fn read(path: &Path) -> Result<AhoCorasick, WordsError> {
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    file.map_err(|error| WordsError::Read { path: path.to_owned(), error })?;
    let too_much = |problem| WordsError::TooMuch { path: path.to_owned(), problem };
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_much(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    let words =
        parse(&bytes).map_err(|(line, problem)| WordsError::Line { path: path.to_owned(), line, problem })?;
    AhoCorasick::new(words).map_err(|error| too_much(error.to_string()))
}

/// The words of a list, folded; or the line that is wrong, from 1, and why.
fn parse(bytes: &[u8]) -> Result<Vec<String>, (usize, &'static str)> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut words = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |problem| (index + 1, problem);
        let line = std::str::from_utf8(line).map_err(|_| wrong("it is not UTF-8"))?;
        let begins =
            |(at, _): &(usize, &str)| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
        let comment = line.match_indices('#').find(begins).map_or(line.len(), |(at, _)| at);
        let word = line[..comment].trim();
        if word.is_empty() {
            continue;
        }
        if word.chars().count() > MAX_WORD_CHARS {
            return Err(wrong("a word has at most 100 characters"));
        }
        let folded: String = seen(word).flat_map(|(_, c)| fold(c)).collect();
        if folded.is_empty() {
            return Err(wrong("the word has no character that can be seen"));
        }
        words.push(folded);
    }
    words.sort_unstable();
    words.dedup();
    Ok(words)
}

/// The characters that can be seen, and where they stand.
fn seen(text: &str) -> impl Iterator<Item = (usize, char)> {
    text.char_indices().filter(|(_, c)| {
        !matches!(c, '\u{ad}' | '\u{34f}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
    })
}

/// What a character counts as. To upper case and back: the way there takes `ß` to `SS` and `ς` to `Σ`.
fn fold(c: char) -> impl Iterator<Item = char> {
    let half_width = match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        _ => c,
    };
    half_width.to_uppercase().flat_map(char::to_lowercase)
}

/// Where words of the list stand in folded text, by their ends.
fn matches<'a>(list: &'a AhoCorasick, folded: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    list.find_overlapping_iter(folded).map(|found| found.range()).filter(|range| {
        let (before, rest) = folded.split_at(range.start);
        let (word, after) = rest.split_at(range.len());
        !is_inside(before.chars().next_back(), word.chars().next())
            && !is_inside(word.chars().next_back(), after.chars().next())
    })
}

/// Whether a word goes on between two characters.
fn is_inside(left: Option<char>, right: Option<char>) -> bool {
    let in_words = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && !is_unspaced(c));
    in_words(left) && in_words(right)
}

/// Whether the character is of a script without spaces between words, or with such as don't part what belongs to a
/// word: Thai to Burmese, Khmer, Chinese, Japanese, Korean.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0fff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ffdc}'
        | '\u{20000}'..='\u{3ffff}')
}

/// Ranges, ordered by their ends, with those that overlap as one.
fn together(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut merged: Vec<Range<usize>> = Vec::new();
    for mut range in ranges {
        while let Some(last) = merged.pop_if(|last| last.end > range.start) {
            range.start = range.start.min(last.start);
        }
        merged.push(range);
    }
    merged
}

/// The text with `*` for each character between the first and the last that the ranges of its folded form cover.
fn mask(text: &str, covered: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut covered = covered.iter().peekable();
    // Where the folded text has come to, and where the text has that is already in `out`.
    let (mut folded, mut written) = (0, 0);
    let mut masking = None;
    for (at, c) in seen(text) {
        let end = folded + fold(c).map(char::len_utf8).sum::<usize>();
        if masking.is_none() && covered.peek().is_some_and(|range| range.start < end) {
            out.push_str(&text[written..at]);
            masking = Some(at);
        }
        if let Some(start) = masking
            && covered.peek().is_some_and(|range| range.end <= end)
        {
            written = at + c.len_utf8();
            out.extend(text[start..written].chars().map(|_| '*'));
            masking = None;
            while covered.next_if(|range| range.end <= end).is_some() {}
        }
        folded = end;
    }
    out.push_str(&text[written..]);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(list: &str, mode: WordsMode) -> Words {
        let list = AhoCorasick::new(parse(list.as_bytes()).expect("a good list")).expect("it is small");
        Words { path: PathBuf::new(), mode, list: RwLock::new(Arc::new(list)) }
    }

    fn masked(list: &str, text: &str) -> String {
        words(list, WordsMode::Mask).check(text).expect("masked, not refused").into_owned()
    }

    #[track_caller]
    fn assert_masked(list: &str, pairs: &[(&str, &str)]) {
        for (text, expected) in pairs {
            assert_eq!(masked(list, text), *expected, "{text:?} against {list:?}");
        }
    }

    #[test]
    fn latin_words_match_as_wholes() {
        assert_masked(
            "ass\nbad word",
            &[
                ("ass", "***"),
                ("you ass!", "you ***!"),
                ("ASS, Ass; (ass)", "***, ***; (***)"),
                ("class assist grass", "class assist grass"),
                ("ass2 2ass ass_ _ass", "ass2 2ass ***_ _***"),
                ("a bad word here", "a ******** here"),
                ("a bad  word, bad words", "a bad  word, bad words"),
                ("你ass好", "你***好"),
                ("éass", "éass"),
            ],
        );
    }

    #[test]
    fn chinese_matches_anywhere() {
        assert_masked(
            "坏蛋\n坏蛋王\n法轮\nバカ\n바보\nabc坏",
            &[
                ("你是坏蛋吗", "你是**吗"),
                ("大坏蛋王八", "大***八"),
                ("坏 蛋", "坏 蛋"),
                ("おまえはバカだ", "おまえは**だ"),
                ("바보는", "**는"),
                ("xabc坏了 abc坏了", "xabc坏了 ****了"),
            ],
        );
    }

    #[test]
    fn case_width_and_what_is_not_seen_make_no_difference() {
        assert_masked(
            "straße\nσίσυφος\nПлохо\nbad",
            &[
                ("STRASSE Straße strasse", "******* ****** *******"),
                ("ΣΊΣΥΦΟΣ σίσυφος", "******* *******"),
                ("ПЛОХО неПлохо", "***** неПлохо"),
                ("ＢＡＤ ｂａｄ", "*** ***"),
                ("b\u{200b}a\u{ad}d.", "*****."),
                ("bad\u{200b}ge", "bad\u{200b}ge"),
                ("\u{200b}bad\u{200b} x", "\u{200b}***\u{200b} x"),
            ],
        );
    }

    #[test]
    fn words_that_overlap_are_masked_together() {
        assert_masked(
            "一二\n二三四\n五\n四五",
            &[
                ("零一二三四六", "零****六"),
                ("一二三", "**三"),
                ("三四五六", "三**六"),
                ("一二五一二", "*****"),
            ],
        );
        // The longer one ends inside a word, and does not hide the shorter.
        assert_masked("ass\nass hole", &[("ass holes", "*** holes"), ("ass hole", "********")]);
    }

    #[test]
    fn a_refusing_filter_refuses() {
        let words = words("bad", WordsMode::Refuse);
        assert_eq!(words.check("so bad"), Err(ForbiddenWord));
        assert!(matches!(words.check("badge"), Ok(Cow::Borrowed("badge"))));
    }

    #[test]
    fn lists_may_have_comments_blank_lines_and_any_line_ends() {
        let list = "\u{feff}# a comment\r\n\r\n  bad # here, too\r\n\tworse\t#\nBAD\n#bad2\nc#\n #";
        assert_eq!(parse(list.as_bytes()).unwrap(), ["bad", "c#", "worse"]);
        assert_masked("", &[("anything", "anything")]);
        assert_masked("# nothing", &[("anything", "anything")]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        assert_eq!(parse(b"good\n\xff\n").unwrap_err().0, 2);
        assert_eq!(parse(format!("good\n\n{}", "x".repeat(101)).as_bytes()).unwrap_err().0, 3);
        assert!(parse("x".repeat(100).as_bytes()).is_ok());
        assert_eq!(parse("\u{200b}\u{200b}".as_bytes()).unwrap_err().0, 1);
    }

    #[test]
    fn a_list_is_exchanged_or_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words.txt");
        assert!(matches!(Words::load(&path, WordsMode::Mask), Err(WordsError::Read { .. })));
        std::fs::write(&path, "one\n").unwrap();
        let words = Words::load(&path, WordsMode::Mask).unwrap();
        assert_eq!(words.check("one two").unwrap(), "*** two");
        std::fs::write(&path, "two\nthree\n").unwrap();
        assert_eq!(words.check("one two").unwrap(), "*** two", "it is read when told to");
        assert_eq!(words.reload().unwrap(), 2);
        assert_eq!(words.check("one two").unwrap(), "one ***");
        std::fs::write(&path, b"one\n\xff").unwrap();
        let error = words.reload().unwrap_err().to_string();
        assert!(error.contains("words.txt, line 2") && error.contains("UTF-8"), "{error}");
        assert_eq!(words.check("one two").unwrap(), "one ***", "a failed reload changes nothing");
        std::fs::write(&path, "x\n".repeat(MAX_FILE_BYTES as usize / 2 + 1)).unwrap();
        assert!(matches!(words.reload(), Err(WordsError::TooMuch { .. })));
    }

    proptest! {
        /// Letters that fold to two, that join, that don't, and that can't be seen.
        #[test]
        fn masking_keeps_the_number_of_characters_and_leaves_no_word(
            list in prop::collection::vec("[aßs好Σς]{1,3}", 0..6),
            text in "[aAßSs好ΣςＡ \u{200b}.]{0,20}",
        ) {
            let words = words(&list.join("\n"), WordsMode::Mask);
            let out = words.check(&text).unwrap();
            prop_assert_eq!(out.chars().count(), text.chars().count());
            for (before, after) in text.chars().zip(out.chars()) {
                prop_assert!(after == before || after == '*');
            }
            // What is masked parts its neighbours, so only what stood there before can be left, and it doesn't.
            let refusing = Words { mode: WordsMode::Refuse, ..words };
            prop_assert_eq!(refusing.check(&text).is_ok(), out == text);
        }

        #[test]
        fn any_text_and_list_pass(list in "\\PC{0,40}", text in "\\PC{0,60}") {
            if let Ok(list) = parse(list.as_bytes()) {
                let list = RwLock::new(Arc::new(AhoCorasick::new(list).unwrap()));
                let words = Words { path: PathBuf::new(), mode: WordsMode::Mask, list };
                let out = words.check(&text).unwrap();
                prop_assert_eq!(out.chars().count(), text.chars().count());
                prop_assert!(out.len() <= text.len());
            }
        }
    }
}
