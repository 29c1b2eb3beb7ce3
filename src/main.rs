fn main() -> std::process::ExitCode {
    sdlab::cli::main()
}
