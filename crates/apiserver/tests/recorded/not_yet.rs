//! The recorded steps that the server does not serve yet, each with a word why.

/// One step that is expected to differ.
pub(crate) struct NotYet {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
}

const fn step(name: &'static str, reason: &'static str) -> NotYet {
    NotYet { name, reason }
}

/// The list of one file. A name stands for every step that has it.
pub(crate) fn steps_of(file: &str) -> &'static [NotYet] {
    match file {
        "csidriver.json" => CSI_DRIVER,
        "gate-off.json" => GATE_OFF,
        "tokens.json" => TOKENS,
        "node.json" => NODE,
        "lists.json" => LISTS,
        "kinds.json" => KINDS,
        "faces.json" => FACES,
        other => panic!("no recording is called {other}"),
    }
}

/// Discovery lists what is served, in this form as in the older one.
const SUBRESOURCES: &str = "subresources of pods and nodes that are not served (exec, eviction and so on)";
/// Not the server's lack: the recorded one prints its own release, not the one that it emulates.
const OWN_RELEASE: &str = "the recorded server's own release";

static CSI_DRIVER: &[NotYet] = &[];

static GATE_OFF: &[NotYet] = &[];

static TOKENS: &[NotYet] = &[];

static NODE: &[NotYet] = &[];

static LISTS: &[NotYet] = &[];

static KINDS: &[NotYet] = &[];

static FACES: &[NotYet] = &[step("version", OWN_RELEASE), step("aggregated, core", SUBRESOURCES)];
