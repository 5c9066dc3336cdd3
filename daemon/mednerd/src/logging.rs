//! Where log lines go: to the journal as structured fields where systemd started us, else to stderr.
//! Only mednerd's own crates log; what libraries say may quote their input and is dropped.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sets up logging and replaces the panic message, which may quote a text, by its place.
pub fn init() {
    let own = Targets::new().with_target("mednerd", LevelFilter::INFO);
    // systemd sets JOURNAL_STREAM for a service whose stderr is the journal.
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let stderr = journal.is_none().then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .with_target(false)
    });
    tracing_subscriber::registry()
        .with(own)
        .with(journal)
        .with(stderr)
        .init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(%place, %thread, "internal error; please report this place");
    }));
}
