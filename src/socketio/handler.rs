//! Handlers: async functions whose parameters say what they want of an event.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::args::{Args, ArgsError, Elements, Take, decode_array};
use super::{Ack, Payload, Socket};

/// What a handler does after it was called.
pub(super) type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A handler of any type.
pub(super) type Erased = Arc<dyn Fn(&mut Event<'_>) -> Result<BoxFuture, ArgsError> + Send + Sync>;

/// An event on its way to its handler.
#[derive(Debug)]
pub struct Event<'a> {
    pub(super) socket: &'a Socket,
    /// The whole array, the name in front.
    pub(super) array: &'a str,
    /// What follows the name.
    pub(super) list: &'a str,
    pub(super) attachments: &'a [Bytes],
    /// The ack id, if the client wants an answer, until somebody takes it.
    pub(super) ack: Option<u64>,
    pub(super) ack_taken: bool,
}

impl Event<'_> {
    fn take_ack(&mut self) -> Ack {
        self.ack_taken = true;
        Ack::new(self.socket.clone(), self.ack.take())
    }
}

/// A parameter of a handler.
///
/// | type | what it gets |
/// |---|---|
/// | [`Socket`] | the socket that the event came by |
/// | [`Ack`] | the way to answer; the handler's return value is then no answer any more |
/// | [`Args`] | all arguments, as they came |
/// | any other, deserialized by serde | the next argument; for an `Option`, `None` where there is none |
pub trait Param: Sized {
    /// Takes the parameter out of the event.
    #[doc(hidden)]
    fn take<S: Elements>(event: &mut Event<'_>, elements: &mut S) -> Result<Self, S::Error>;
}

impl<T: DeserializeOwned> Param for T {
    fn take<S: Elements>(_: &mut Event<'_>, elements: &mut S) -> Result<Self, S::Error> {
        elements.next_or_none()
    }
}

impl Param for Socket {
    fn take<S: Elements>(event: &mut Event<'_>, _: &mut S) -> Result<Self, S::Error> {
        Ok(event.socket.clone())
    }
}

impl Param for Ack {
    fn take<S: Elements>(event: &mut Event<'_>, _: &mut S) -> Result<Self, S::Error> {
        Ok(event.take_ack())
    }
}

impl Param for Args {
    fn take<S: Elements>(event: &mut Event<'_>, _: &mut S) -> Result<Self, S::Error> {
        Ok(Args::new(event.list, event.attachments))
    }
}

/// A function that can handle an event: async, with up to eight [`Param`]s. What it returns is the answer, if the
/// client asked for one and no parameter is an [`Ack`].
///
/// An event whose arguments are not what the parameters say is dropped, without an answer, and logged: a handler that wants to
/// answer also then takes [`Args`], and decodes them itself. A `Result` is an answer like any other value: serde's
/// `{"Ok": …}` or `{"Err": …}`.
///
/// The handlers of one socket start in the order of its events, each running until it first waits for something;
/// they run on the thread that serves the connection, so work that takes long belongs into
/// [`tokio::task::spawn_blocking`]. One that panics is logged, and harms nobody else.
#[diagnostic::on_unimplemented(
    message = "this can't handle an event",
    note = "a handler is an async closure or function; its parameters are `Socket`, `Ack`, `Args`, or implement `serde::Deserialize`, eight at most; what it returns implements `serde::Serialize`",
    note = "and it is `Send`, as are the futures that it makes"
)]
pub trait Handler<P>: Send + Sync + 'static {
    /// Takes the parameters out of the event, and begins.
    #[doc(hidden)]
    fn call(&self, event: &mut Event<'_>) -> Result<BoxFuture, ArgsError>;
}

pub(super) fn erase<P>(handler: impl Handler<P>) -> Erased {
    Arc::new(move |event| handler.call(event))
}

struct TakeAll<'e, 'a, P>(&'e mut Event<'a>, PhantomData<P>);

macro_rules! handlers {
    ($(($($param:ident)*))*) => {$(
        #[allow(non_snake_case, reason = "a parameter's name is its type's")]
        impl<$($param: Param),*> Take<($($param,)*)> for TakeAll<'_, '_, ($($param,)*)> {
            #[allow(unused_variables, reason = "not without parameters")]
            fn take<Els: Elements>(self, elements: &mut Els) -> Result<($($param,)*), Els::Error> {
                Ok(($($param::take(self.0, elements)?,)*))
            }
        }

        #[allow(non_snake_case, reason = "a parameter's name is its type's")]
        impl<Func, Fut, Ret, $($param: Param),*> Handler<($($param,)*)> for Func
        where
            Func: Fn($($param),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Ret> + Send + 'static,
            Ret: Payload,
        {
            fn call(&self, event: &mut Event<'_>) -> Result<BoxFuture, ArgsError> {
                let (array, attachments) = (event.array, event.attachments);
                let ($($param,)*) = decode_array(array, true, attachments, TakeAll(event, PhantomData))?;
                let ack = (!event.ack_taken && event.ack.is_some()).then(|| event.take_ack());
                let answer = self($($param),*);
                Ok(Box::pin(async move {
                    let answer = answer.await;
                    if let Some(ack) = ack {
                        ack.send(answer);
                    }
                }))
            }
        }
    )*};
}

handlers! {
    () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
}
