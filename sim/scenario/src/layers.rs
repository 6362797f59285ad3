//! Scenario, cluster, hardware, fabric, model and profiles into one namespace.

mod service;
mod take;

use std::sync::Arc;

use take::{reference, references, take_name, take_table};

use crate::diagnostic::Diagnostic;
use crate::elsewhere::{Departures, Machines};
use crate::families;
use crate::hugging_face;
use crate::kind::Kind;
use crate::library::{Library, stem};
use crate::origin::{Origin, Place, Source};
use crate::parse;
use crate::patch::{self, Patch};
use crate::serve::SERVING_NAMESPACES;
use crate::tree::{Node, Table, Value, lay_over, list};

/// The merged files, with references followed and patches applied.
pub(crate) struct Layers {
    /// The scenario's name: its `name` key, or the name of its file.
    pub(crate) name: String,
    pub(crate) root: Table,
    /// Whether it is a service.
    pub(crate) is_service: bool,
    /// The scenario file, for mistakes that have no better place.
    pub(crate) file: Origin,
    /// Where the profiles are named.
    pub(crate) profiles: Origin,
    /// In what the machine departs from those that estimates were measured on.
    pub(crate) departures: Departures,
    /// Implementations that the user prefers to those of the framework.
    pub(crate) implementations: Vec<String>,
}

/// Every namespace of a scenario, in the order of `plan.toml`: what its file may hold.
pub(crate) const NAMESPACES: [&str; 12] = [
    "cluster",
    "gpu",
    "node",
    "fabric",
    "model",
    "framework",
    "parallel",
    "job",
    "policy",
    "traffic",
    "cost",
    "profile",
];

struct Builder<'a> {
    library: &'a Library,
    root: Table,
    /// References of all files, for the patches, which must find them.
    used: Table,
    is_service: bool,
    /// Name of the hardware file.
    hardware: Option<String>,
    /// What estimates were measured on.
    machines: Machines,
    patches: Vec<Patch>,
    mistakes: Vec<Diagnostic>,
    /// Whether a file could not be read, so that keys would be missing for no fault of their own.
    incomplete: bool,
}

/// Reads a scenario (or, for the machine alone, a cluster) and everything it names. Mistakes that leave the rest
/// readable are in the second part.
pub(crate) fn read(
    kind: Kind,
    reference: &str,
    sets: &[String],
    library: &Library,
) -> Result<(Layers, Vec<Diagnostic>), Vec<Diagnostic>> {
    let opened = library.open(kind, reference, None).or_else(|absent| match kind {
        // Services have a folder of their own, and a name is of one of both.
        Kind::Scenario => library.open(Kind::Service, reference, None).map_err(|_| absent),
        _ => Err(absent),
    });
    let source = opened.map_err(|absent| vec![absent])?;
    let mut builder = Builder::new(library);
    let Some(mut file) = parse::file(&source, &mut builder.mistakes) else { return Err(builder.mistakes) };
    builder.is_service = file.contains_key("serve");
    let name = take_name(&mut file, &mut builder.mistakes).unwrap_or_else(|| stem(reference));
    builder.patches = patch::collect(&mut file, sets, &mut builder.mistakes);
    file.remove("about");
    match kind {
        Kind::Cluster => builder.cluster(file),
        _ => builder.scenario(file),
    }
    builder.finish(name, Origin::whole(&source))
}

/// Reads hardware and profiles alone, named by arguments.
pub(crate) fn read_device(
    names: DeviceNames<'_>,
    sets: &[String],
    library: &Library,
) -> Result<(Layers, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut builder = Builder::new(library);
    builder.patches = patch::collect(&mut Table::new(), sets, &mut builder.mistakes);
    let mut used = names.used();
    patch::apply_to_use(&mut used, &builder.patches);
    builder.used.extend(used.clone());
    if names.framework.is_some() {
        builder.defaults();
        builder.framework(&used);
    }
    builder.root.retain(|namespace, _| namespace == "framework");
    builder.machine_parts(&used);
    builder.profiles(&used);
    let file = used.get("hardware").map(|node| node.origin.clone());
    builder.finish(stem(names.hardware), file.unwrap_or_else(|| argument("hardware", names.hardware).origin))
}

/// Reads hardware alone, named by an argument.
pub(crate) fn read_hardware(
    hardware: &str,
    sets: &[String],
    library: &Library,
) -> Result<(Layers, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut builder = Builder::new(library);
    builder.patches = patch::collect(&mut Table::new(), sets, &mut builder.mistakes);
    let node = argument("hardware", hardware);
    let origin = node.origin.clone();
    builder.machine_parts(&[("hardware".to_owned(), node)].into());
    builder.finish(stem(hardware), origin)
}

/// Reads a model alone, named by an argument.
pub(crate) fn read_model(
    name: &str,
    sets: &[String],
    library: &Library,
) -> Result<(Layers, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut builder = Builder::new(library);
    builder.patches = patch::collect(&mut Table::new(), sets, &mut builder.mistakes);
    let origin = argument("model", name).origin;
    builder.model(name, &origin);
    builder.finish(stem(name), origin)
}

/// Reads a cluster and profiles, the latter named by arguments; none: the one named like its hardware. Of what a scenario may
/// leave out, only the tables in `defaults` are there.
pub(crate) fn read_cluster(
    (reference, profiles): (&str, &[String]),
    sets: &[String],
    defaults: &[&str],
    library: &Library,
) -> Result<(Layers, Vec<Diagnostic>), Vec<Diagnostic>> {
    let source = library.open(Kind::Cluster, reference, None).map_err(|absent| vec![absent])?;
    let mut builder = Builder::new(library);
    let Some(mut file) = parse::file(&source, &mut builder.mistakes) else { return Err(builder.mistakes) };
    builder.patches = patch::collect(&mut file, sets, &mut builder.mistakes);
    file.remove("about");
    builder.defaults();
    builder.root.retain(|namespace, _| defaults.contains(&namespace.as_str()));
    builder.cluster(file);
    let hardware = builder.hardware.clone().unwrap_or_default();
    let mut used = DeviceNames { hardware: &hardware, profiles, implementations: &[], framework: None }.used();
    used.remove("hardware");
    patch::apply_to_use(&mut used, &builder.patches);
    builder.used.extend(used.clone());
    builder.profiles(&used);
    builder.finish(stem(reference), Origin::whole(&source))
}

/// What names a device and what is known of its kernels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceNames<'a> {
    pub(crate) hardware: &'a str,
    /// None: the profile named like the hardware.
    pub(crate) profiles: &'a [String],
    pub(crate) implementations: &'a [String],
    /// None: kernels as they were measured.
    pub(crate) framework: Option<&'a str>,
}

impl DeviceNames<'_> {
    /// The references as a file would have them, so that a mistake in one is shown like one of a file.
    fn used(&self) -> Table {
        let hardware = argument("hardware", self.hardware);
        let named_like = Node { value: Value::String(stem(self.hardware)), ..hardware.clone() };
        let list = |name: &str, values: &[String]| {
            let items: Vec<Node> = values.iter().map(|value| argument(name, value)).collect();
            let origin = items.first().map_or_else(|| hardware.origin.clone(), |first| first.origin.clone());
            Node { value: Value::Array(items), origin, key: 0..0 }
        };
        let profiles = if self.profiles.is_empty() { named_like } else { list("profile", self.profiles) };
        let implementations = list("implementation", self.implementations);
        let used = [("profiles", profiles), ("implementations", implementations), ("hardware", hardware.clone())];
        let framework = self.framework.map(|name| ("framework", argument("framework", name)));
        used.into_iter().chain(framework).map(|(name, node)| (name.to_owned(), node)).collect()
    }
}

/// The value of a command-line argument.
fn argument(name: &str, value: &str) -> Node {
    let source = Arc::new(Source { name: format!("--{name}"), text: value.to_owned(), place: Place::Argument });
    Node { value: Value::String(value.to_owned()), origin: Origin::new(&source, 0..value.len()), key: 0..0 }
}

/// A profile that a file asks for, and the files that led there.
struct Named {
    name: String,
    origin: Origin,
    above: Vec<String>,
}

impl<'a> Builder<'a> {
    fn new(library: &'a Library) -> Self {
        Self {
            library,
            root: Table::new(),
            used: Table::new(),
            is_service: false,
            hardware: None,
            machines: Machines::default(),
            patches: Vec::new(),
            mistakes: Vec::new(),
            incomplete: false,
        }
    }

    /// The merged files with their patches; `file` is where a mistake stands that has no better place.
    fn finish(self, name: String, file: Origin) -> Result<(Layers, Vec<Diagnostic>), Vec<Diagnostic>> {
        if self.incomplete {
            return Err(self.mistakes);
        }
        let Builder { mut root, used, patches, machines, mut mistakes, is_service, .. } = self;
        let profiles = used.get("profiles").map_or_else(|| file.clone(), |node| node.origin.clone());
        let preferred = references(&used, "implementations", "use.implementations", "names", &mut Vec::new());
        let implementations = preferred.into_iter().map(|(name, _)| name).collect();
        let node = Node { value: Value::Table(used), origin: file.clone(), key: 0..0 };
        root.insert("use".to_owned(), node);
        let named_by = Machines::named_by(&mut root);
        patch::apply(&mut root, &patches, &mut mistakes);
        root.remove("use");
        let patched = patches.iter().map(Patch::key).collect();
        let departures = machines.departures(&mut root, &named_by, &patched, &mut mistakes);
        Ok((Layers { name, root, is_service, file, profiles, departures, implementations }, mistakes))
    }

    fn defaults(&mut self) {
        let opened = self.library.open(Kind::Defaults, "train", None);
        self.root = self.parse(opened).unwrap_or_default();
    }

    /// The keys of a file; `None`, and the mistake kept, where it cannot be read.
    fn parse(&mut self, opened: Result<Arc<Source>, Diagnostic>) -> Option<Table> {
        let table = match opened {
            Ok(source) => parse::file(&source, &mut self.mistakes),
            Err(absent) => {
                self.mistakes.push(absent);
                None
            }
        };
        self.incomplete |= table.is_none();
        let mut table = table?;
        table.remove("about");
        Some(table)
    }

    fn scenario(&mut self, mut file: Table) {
        if self.is_service {
            self.service_defaults()
        } else {
            self.defaults()
        }
        let used = self.take_scenario_use(&mut file);
        let namespaces: &[&str] = if self.is_service { &SERVING_NAMESPACES } else { &NAMESPACES };
        self.keep_only(Kind::Scenario, &mut file, namespaces);
        self.refuse_both(&file, &used);
        self.framework(&used);
        self.lay(file);
        if let Some((name, origin)) = reference(&used, "cluster", &mut self.mistakes)
            && let Some(file) = self.open(Kind::Cluster, &name, &origin)
        {
            self.cluster(file);
        }
        self.machine_parts(&used);
        if let Some((name, origin)) = reference(&used, "model", &mut self.mistakes) {
            self.model(&name, &origin);
        }
        self.profiles(&used);
    }

    /// The references of a scenario over those of the defaults. A scenario that writes its `framework` out needs no reference to one.
    fn take_scenario_use(&mut self, file: &mut Table) -> Table {
        let mut used = take_table(&mut self.root, "use", &mut self.mistakes);
        if file.contains_key("framework") {
            used.remove("framework");
        }
        used.append(&mut take_table(file, "use", &mut self.mistakes));
        self.patch_use(used)
    }

    /// A software stack: what it decides, over the defaults and under the scenario; its name.
    fn framework(&mut self, used: &Table) {
        let Some((name, origin)) = reference(used, "framework", &mut self.mistakes) else { return };
        let Some(mut file) = self.open(Kind::Framework, &name, &origin) else { return };
        self.keep_only(Kind::Framework, &mut file, &["framework", "policy", "parallel", "serve", "scheduler"]);
        self.drop_of_others(&mut file);
        self.lay(file);
        let name = Node { value: Value::String(stem(&name)), origin: origin.clone(), key: 0..0 };
        let named = Node { value: Value::Table([("name".to_owned(), name)].into()), origin, key: 0..0 };
        self.lay([("framework".to_owned(), named)].into());
    }

    fn cluster(&mut self, mut file: Table) {
        let used = self.take_use(&mut file);
        self.keep_only(Kind::Cluster, &mut file, &["cluster", "gpu", "node", "fabric"]);
        self.refuse_both(&file, &used);
        self.lay(file);
        self.machine_parts(&used);
    }

    /// The references of a file, patched: `use.*` must be known before the files are.
    fn take_use(&mut self, file: &mut Table) -> Table {
        let used = take_table(file, "use", &mut self.mistakes);
        self.patch_use(used)
    }

    fn patch_use(&mut self, mut used: Table) -> Table {
        patch::apply_to_use(&mut used, &self.patches);
        self.refuse_rest(&used);
        self.used.extend(used.clone());
        used
    }

    fn machine_parts(&mut self, used: &Table) {
        if let Some((name, origin)) = reference(used, "hardware", &mut self.mistakes)
            && let Some(mut file) = self.open(Kind::Hardware, &name, &origin)
        {
            // Datasheet totals: a test compares them with the derived peaks.
            file.remove("check");
            self.keep_only(Kind::Hardware, &mut file, &["gpu", "node"]);
            self.lay(file);
            self.hardware = Some(stem(&name));
        }
        if let Some((name, origin)) = reference(used, "fabric", &mut self.mistakes)
            && let Some(mut file) = self.open(Kind::Fabric, &name, &origin)
        {
            self.keep_only(Kind::Fabric, &mut file, &["fabric"]);
            self.lay(file);
        }
    }

    fn model(&mut self, name: &str, origin: &Origin) {
        if name.ends_with(".json") {
            match self.library.open(Kind::Model, name, Some(origin)).and_then(|source| hugging_face::read(&source)) {
                Ok(table) => self.lay(table),
                Err(mistake) => {
                    self.mistakes.push(mistake);
                    self.incomplete = true;
                }
            }
        } else if let Some(mut file) = self.open(Kind::Model, name, origin) {
            self.keep_only(Kind::Model, &mut file, &["model"]);
            self.lay(file);
        }
    }

    /// Estimates of the profiles in order, all before the profiles they are based on. The first that holds an estimate gives
    /// it, but for implementations that `use.implementations` prefers, of which an earlier one goes first, and after them those of
    /// the framework.
    fn profiles(&mut self, used: &Table) {
        self.machines.keep_own(&self.root);
        let mut chain = Vec::new();
        // Level by level: all that a file is based on comes before what its bases are based on.
        let mut level: Vec<Named> =
            references(used, "profiles", "use.profiles", "presets or paths", &mut self.mistakes)
                .into_iter()
                .map(|(name, origin)| Named { name, origin, above: Vec::new() })
                .collect();
        while !level.is_empty() {
            level = level.iter().flat_map(|named| self.profile(named, &mut chain)).collect();
        }
        let files: Vec<Table> = chain.into_iter().map(|(_, file)| file).collect();
        let preferred =
            references(used, "implementations", "use.implementations", "names of implementations", &mut self.mistakes);
        for (name, origin) in preferred {
            let of_name: Vec<Table> = files.iter().map(|file| families::only(file, &name)).collect();
            // With a profile that could not be read, nobody knows what it would have held.
            if of_name.iter().all(Table::is_empty) && !self.incomplete {
                self.mistakes.push(families::no_implementation(&name, &origin, &files));
            }
            of_name.into_iter().for_each(|file| families::lay_under(&mut self.root, file));
        }
        for (family, name) in families::preferred(&self.root) {
            let of_family = files.iter().map(|file| families::only(&families::below(file, &family), &name));
            of_family.collect::<Vec<_>>().into_iter().for_each(|file| families::lay_under(&mut self.root, file));
        }
        files.into_iter().for_each(|file| families::lay_under(&mut self.root, file));
        let opened = self.library.open(Kind::Defaults, "profile", None);
        if let Some(defaults) = self.root.contains_key("profile").then(|| self.parse(opened)).flatten() {
            families::lay_under(&mut self.root, defaults);
        }
    }

    /// Appends a profile file and says what it is based on. Two names may be one file, so files are told by where they were
    /// found.
    fn profile(&mut self, named: &Named, chain: &mut Vec<(String, Table)>) -> Vec<Named> {
        let Named { name, origin, above } = named;
        let opened = self.library.open(Kind::Profile, name, Some(origin));
        let path = opened.as_ref().map(|source| source.name.clone()).unwrap_or_default();
        if let Some(first) = above.iter().position(|earlier| *earlier == path) {
            let message = match list(&above[first + 1..]) {
                through if through.is_empty() => format!("`{path}` is based on itself"),
                through => format!("`{path}` is based on itself, through {through}"),
            };
            let hint = "take it out of this `base`";
            self.mistakes.push(Diagnostic::error(message).at(origin).hint(hint));
            return Vec::new();
        }
        if chain.iter().any(|(earlier, _)| *earlier == path) {
            return Vec::new();
        }
        let Some(mut file) = self.parse(opened) else { return Vec::new() };
        // What a calibration says of its machine and of its errors is for people.
        file.retain(|name, _| !["machine", "held-out"].contains(&name.as_str()));
        self.machines.take(&mut file, self.hardware.as_deref(), self.library, &mut self.mistakes);
        let bases = references(&file, "base", "base", "presets or paths", &mut self.mistakes);
        file.remove("base");
        self.keep_only(Kind::Profile, &mut file, &["profile"]);
        chain.push((path.clone(), file));
        let above = [above.as_slice(), &[path]].concat();
        bases.into_iter().map(|(name, origin)| Named { name, origin, above: above.clone() }).collect()
    }

    fn open(&mut self, kind: Kind, name: &str, from: &Origin) -> Option<Table> {
        let opened = self.library.open(kind, name, Some(from));
        self.parse(opened)
    }

    fn lay(&mut self, file: Table) {
        lay_over(&mut self.root, file, "", &mut self.mistakes);
    }

    fn keep_only(&mut self, kind: Kind, file: &mut Table, namespaces: &[&str]) {
        file.retain(|name, node| {
            let known = namespaces.contains(&name.as_str());
            if !known {
                self.mistakes.push(
                    Diagnostic::error(format!("`{name}` does not belong in a {} file", kind.name()))
                        .at(&node.key_origin())
                        .hint(match crate::tree::nearest(name, namespaces.iter().copied()) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("it may hold {}", list(namespaces)),
                        }),
                );
            }
            known
        });
    }

    /// A namespace comes from the file itself or from a file it names, never from both.
    fn refuse_both(&mut self, file: &Table, used: &Table) {
        let givers = [
            ("cluster", ["gpu", "node", "fabric", "cluster"].as_slice()),
            ("hardware", &["gpu", "node"]),
            ("fabric", &["fabric"]),
            ("model", &["model"]),
            ("profiles", &["profile"]),
            ("framework", &["framework"]),
        ];
        for (giver, namespaces) in givers {
            for name in namespaces.iter().filter(|_| used.contains_key(giver)) {
                if let Some(node) = file.get(*name) {
                    self.mistakes.push(
                        Diagnostic::error(format!("`{name}` comes from `use.{giver}` already"))
                            .at(&node.key_origin())
                            .hint(format!(
                                "to change it, write the keys under `[patch]`, for example `[patch.{name}]`"
                            )),
                    );
                }
            }
        }
    }

    fn refuse_rest(&mut self, used: &Table) {
        let known = ["cluster", "hardware", "fabric", "model", "profiles", "implementations", "framework"];
        for (name, node) in used.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            self.mistakes.push(
                Diagnostic::error(format!("`use.{name}` is no reference"))
                    .at(&node.key_origin())
                    .hint(format!("a file may use {}", list(known))),
            );
        }
    }
}
