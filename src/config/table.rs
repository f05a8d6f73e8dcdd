//! What a line of the settings table becomes: a struct field with its default, and a [`Setting`] that can parse,
//! check and print it without knowing its type.

use super::Config;
use super::value::{Raw, Value};

/// The values that a setting may have, beyond what its type demands.
pub(super) enum Rule<T> {
    /// Every value of the type.
    Any,
    /// From the first to the second, both allowed.
    Range(T, T),
    /// What the function accepts; the text says what that is.
    Test(&'static str, fn(&T) -> bool),
}

impl<T: Value + PartialOrd> Rule<T> {
    pub(super) fn parse(&self, raw: Raw<'_>) -> Option<T> {
        T::parse(raw).filter(|value| match self {
            Self::Any => true,
            Self::Range(min, max) => min <= value && value <= max,
            Self::Test(_, accepts) => accepts(value),
        })
    }

    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Any => T::EXPECTED.to_owned(),
            Self::Range(min, max) => format!("{}, from {} to {}", T::EXPECTED, min.to_text(), max.to_text()),
            Self::Test(allowed, _) => (*allowed).to_owned(),
        }
    }
}

/// How much of a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// All of it.
    Full,
    /// Whether it is set.
    Secret,
    /// All but the password of a URL.
    Url,
}

/// One setting, its type erased.
pub(super) struct Setting {
    pub section: &'static str,
    pub key: &'static str,
    /// Documentation, one line.
    pub doc: &'static str,
    pub shown: Shown,
    /// Parses, checks and stores a value; `false` when it is not allowed.
    pub set: fn(&mut Config, Raw<'_>) -> bool,
    /// The value as TOML.
    pub get: fn(&Config) -> toml::Value,
    /// The allowed values in words.
    pub allowed: fn() -> String,
}

impl Setting {
    /// `section.key`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }
}

/// Declares the sections: a struct for each, [`Config`] of them all, and `SETTINGS`, the list of all settings.
macro_rules! settings {
    ($(
        #[doc = $section_doc:literal]
        $section:ident: $Section:ident {
            $(
                #[doc = $doc:literal]
                $key:ident: $type:ty = $default:expr, $rule:expr $(, $shown:ident)?;
            )*
        }
    )*) => {
        /// The settings of a node, each within its limits.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $( #[doc = $section_doc] pub $section: $Section, )*
        }

        $(
            #[doc = $section_doc]
            #[derive(Clone, PartialEq)]
            pub struct $Section {
                $( #[doc = $doc] pub $key: $type, )*
            }

            /// Masks secrets, so that no log shows one.
            impl std::fmt::Debug for $Section {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.debug_struct(stringify!($Section))
                        $( .field(stringify!($key), &settings!(@debug self.$key $(, $shown)?)) )*
                        .finish()
                }
            }
        )*

        impl Default for Config {
            fn default() -> Self {
                Self { $( $section: $Section { $( $key: $default, )* }, )* }
            }
        }

        /// The sections with their documentation, in the order of the table.
        static SECTIONS: &[(&str, &str)] = &[ $( (stringify!($section), $section_doc), )* ];

        /// Every setting, in the order of the table.
        static SETTINGS: &[table::Setting] = &[$($( {
            fn rule() -> table::Rule<$type> {
                $rule
            }
            table::Setting {
                section: stringify!($section),
                key: stringify!($key),
                doc: $doc,
                shown: settings!(@shown $($shown)?),
                set: |config, raw| match rule().parse(raw) {
                    Some(value) => {
                        config.$section.$key = value;
                        true
                    }
                    None => false,
                },
                get: |config| value::Value::to_toml(&config.$section.$key),
                allowed: || rule().allowed(),
            }
        }, )*)*];
    };
    (@debug $value:expr) => { $value };
    (@debug $value:expr, Secret) => { print::MASK };
    (@debug $value:expr, Url) => { print::mask_url(&$value).as_ref().unwrap_or(&$value) };
    (@shown) => { table::Shown::Full };
    (@shown $shown:ident) => { table::Shown::$shown };
}

pub(super) use settings;
