//! The program: a node of the IM service.

use std::error::Error;
use std::process::ExitCode;

use tokio_socketio::cli::{self, Invocation};
use tokio_socketio::node::{self, NodeError};

fn main() -> ExitCode {
    let invocation = cli::parse();
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("services").build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("tokio-socketio: no runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
    let done: Result<(), Box<dyn Error>> = runtime.block_on(async {
        match invocation {
            Invocation::Run(config) => {
                node::log(&config.log);
                node::run(*config).await?;
            }
            Invocation::Print(text) => print!("{text}"),
            Invocation::Status { redis, json } => print!("{}", node::status(&redis, json).await?),
        }
        Ok(())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokio-socketio: {error}");
            // Started again by itself, it would put the other one out, which would come back, and so on.
            let must_not_restart = matches!(error.downcast_ref(), Some(NodeError::Replaced(_)));
            if must_not_restart { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
