//! The connections of the HTTP port. axum's own loop waits for a slow client for ever; here one that sends no head of a
//! request in time, the first or the next, is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// How long nothing is accepted after accepting has failed: for want of files, usually.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that are served at a time. Those beyond wait to be accepted, and cost this process no file.
const MAX_CONNECTIONS: usize = 4096;

/// Serves connections until the future is dropped. `patience`: how long the head of a request may take to come.
pub async fn serve(listener: TcpListener, router: Router, patience: Duration) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // It is never closed, so there is a place sooner or later.
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let served = connection(http.clone(), stream, peer, router.clone());
                tokio::spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the HTTP port can't accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(http: http1::Builder, stream: TcpStream, peer: SocketAddr, router: Router) {
    let service = TowerToHyperService::new(router);
    let with_peer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        service.call(request)
    });
    if let Err(error) = http.serve_connection(TokioIo::new(stream), with_peer).await {
        tracing::debug!(%error, %peer, "an HTTP connection has ended");
    }
}
