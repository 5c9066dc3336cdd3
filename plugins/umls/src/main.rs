//! `mednerd-umls`. Everything is in the library; this hands it the arguments and its exit code back.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    mednerd_umls::run(std::env::args_os()).into()
}
