//! The program: a node of the IM service.

use std::process::ExitCode;

use tokio_socketio::cli::{self, Invocation};
use tokio_socketio::node;

fn main() -> ExitCode {
    let config = match cli::parse() {
        Invocation::Run(config) => config,
        Invocation::Print(text) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
    };
    node::log(&config.log);
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("services").build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("tokio-socketio: no runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
    match runtime.block_on(node::run(*config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokio-socketio: {error}");
            ExitCode::FAILURE
        }
    }
}
