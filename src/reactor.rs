//! Threads with a current-thread runtime each, which serve one thing and let others put tasks beside it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::mpsc as blocking;
use std::thread::{self, ThreadId};

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;

type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A thread that runs a current-thread tokio runtime, for as long as there is a clone of this.
///
/// What is spawned there shares the thread with what the thread is for, so it must be short; in return, the two need no other thread
/// to wake up.
#[derive(Clone, Debug)]
pub struct Reactor {
    runtime: Handle,
    thread: ThreadId,
    jobs: mpsc::UnboundedSender<Job>,
}

impl Reactor {
    /// Starts a thread of this name.
    ///
    /// # Errors
    /// The system gives no thread, or nothing to wait for events with.
    pub fn start(name: String) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (jobs, mut todo) = mpsc::unbounded_channel::<Job>();
        let thread = thread::Builder::new().name(name).spawn(move || {
            runtime.block_on(async {
                while let Some(job) = todo.recv().await {
                    job().await;
                }
            });
        })?;
        Ok(Reactor { runtime: handle, thread: thread.thread().id(), jobs })
    }

    /// Which thread that is.
    pub fn thread(&self) -> ThreadId {
        self.thread
    }

    /// Whether this is called on that thread.
    pub fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }

    /// Whether the thread goes on; it ends early where what it runs has panicked.
    pub fn is_running(&self) -> bool {
        !self.jobs.is_closed()
    }

    /// Where tasks are spawned on that thread.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Makes a future on that thread, and runs it to its end, after what was given to it before.
    pub fn run<F: Future<Output = ()> + 'static>(
        &self,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> Running {
        let (done, is_done) = blocking::channel();
        let job: Job = Box::new(move || {
            let future = make();
            Box::pin(async move {
                future.await;
                // Nobody may wait for it.
                let _ = done.send(());
            })
        });
        // The thread is gone only where a job has panicked; then the job is dropped, which `wait` tells.
        let _ = self.jobs.send(job);
        Running(is_done)
    }
}

/// Something that a [`Reactor`] was given to do.
#[derive(Debug)]
pub struct Running(blocking::Receiver<()>);

impl Running {
    /// Blocks until it is done. `false`: it has panicked, or one before it.
    pub fn wait(self) -> bool {
        self.0.recv().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_one_after_the_other_on_its_thread() {
        let reactor = Reactor::start("test".into()).unwrap();
        assert!(!reactor.is_here());
        let (tell, told) = blocking::channel();
        let running = [1, 2].map(|number| {
            let (here, tell) = (reactor.clone(), tell.clone());
            reactor.run(move || async move {
                // A task beside it gets its turn.
                tokio::task::yield_now().await;
                tell.send((number, here.is_here())).unwrap();
            })
        });
        assert!(running.into_iter().all(Running::wait));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [(1, true), (2, true)]);
        let here = reactor.clone();
        assert!(reactor.runtime().block_on(reactor.runtime().spawn(async move { here.is_here() })).unwrap());
    }

    #[test]
    fn goes_on_until_nobody_has_it() {
        let reactor = Reactor::start("test".into()).unwrap();
        let (alive, is_gone) = blocking::channel::<()>();
        reactor.runtime().spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        drop(reactor.clone());
        assert!(reactor.run(|| async {}).wait(), "it goes on");
        drop(reactor);
        assert!(is_gone.recv().is_err(), "it has ended, and its tasks with it");
    }

    #[test]
    fn a_panic_is_told() {
        let reactor = Reactor::start("test".into()).unwrap();
        assert!(!reactor.run(|| async { panic!("of the test") }).wait());
        assert!(!reactor.run(|| async {}).wait());
        assert!(!reactor.is_running());
    }
}
