//! The binary: parse the command line, start telemetry, run one command.
fn main() {}
