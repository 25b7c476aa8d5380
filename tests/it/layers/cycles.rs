//! Cycles of files: two or more files of one crate that need each other, directly or through others. To understand one
//! of them you have to read all of them, so the arrows inside a module go one way too.
//!
//! There is an arrow from a file to each file whose names it uses. A name that a module only passes on
//! (`pub use child::Name`) leads to the file that defines it. A child may use what its parents define, and a parent may
//! pass on what its children define; neither is an arrow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Source;
use super::names::{Names, names};

/// Files that use each other, and one way around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cycle {
    /// All files that are tied together, in order of their paths.
    pub(super) files: Vec<String>,
    /// The shortest way around: each file, and the names that it uses of the next one.
    pub(super) round: Vec<(String, BTreeSet<String>)>,
}

impl Cycle {
    /// The way around on one line, and how many files are tied together.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for (file, used) in &self.round {
            let used: Vec<&str> = used.iter().take(4).map(String::as_str).collect();
            text += &format!("{file} ─({})─► ", used.join(", "));
        }
        text += self.round.first().map_or("", |(file, _)| file);
        if self.files.len() > self.round.len() {
            text += &format!("   [{} files in all]", self.files.len());
        }
        text
    }
}

/// All cycles of the files, in order of their first file.
pub(super) fn cycles(sources: &[Source]) -> Vec<Cycle> {
    let tree = Tree::new(sources);
    let edges = tree.edges();
    let mut found: Vec<Cycle> = components(&edges)
        .into_iter()
        .map(|files| Cycle { round: shortest_round(&edges, &files), files: files.into_iter().collect() })
        .collect();
    found.sort_by(|a, b| a.files.cmp(&b.files));
    found
}

/// From a file to the files that it uses, with the names.
type Edges = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The modules of all crates, by their places: `collector/src/store/sqlite` is `collector/src/store/sqlite.rs`.
struct Tree {
    modules: BTreeMap<String, Module>,
    /// The places of the crates' roots, the longest first.
    roots: Vec<String>,
}

struct Module {
    file: String,
    names: Names,
}

/// How deep a chain of re-exports is followed.
const MOST_HOPS: usize = 16;

impl Tree {
    fn new(sources: &[Source]) -> Self {
        let mut roots: Vec<String> = sources
            .iter()
            .filter_map(|source| source.path.strip_suffix("/lib.rs").or_else(|| source.path.strip_suffix("/main.rs")))
            .map(str::to_owned)
            .collect();
        roots.sort_by_key(|root| std::cmp::Reverse(root.len()));
        roots.dedup();
        let modules = sources
            .iter()
            .map(|source| {
                let place = source.path.trim_end_matches(".rs");
                let place = place.strip_suffix("/lib").or_else(|| place.strip_suffix("/main")).unwrap_or(place);
                (place.to_owned(), Module { file: source.path.clone(), names: names(&source.text) })
            })
            .collect();
        Self { modules, roots }
    }

    fn root_of(&self, place: &str) -> Option<&str> {
        let is_root = |root: &&String| place == *root || place.starts_with(&format!("{root}/"));
        self.roots.iter().find(is_root).map(String::as_str)
    }

    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (place, module) in &self.modules {
            let imports = module.names.imports.iter().map(|i| (&i.path, i.depth, i.is_passed_on));
            let paths = module.names.paths.iter().map(|(path, depth)| (path, *depth, false));
            for (path, depth, is_passed_on) in imports.chain(paths) {
                let Some(target) = self.resolve(place, path, depth, 0) else { continue };
                let is_of_family = is_in(place, &target) || (is_passed_on && is_in(&target, place));
                if !is_of_family {
                    let used = edges.entry(module.file.clone()).or_default();
                    let names = used.entry(self.modules[&target].file.clone()).or_default();
                    names.extend(path.last().cloned());
                }
            }
        }
        edges
    }

    /// The place of the module whose code a path reaches, read in the module at `place`.
    fn resolve(&self, place: &str, path: &[String], depth: usize, hops: usize) -> Option<String> {
        let root = self.root_of(place)?;
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.descend(root, rest, hops),
            "self" if depth == 0 => self.descend(place, rest, hops),
            "super" => {
                let supers = path.iter().take_while(|word| *word == "super").count();
                let mut base = place;
                for _ in depth..supers {
                    base = base.rsplit_once('/')?.0;
                }
                self.descend(base, &path[supers..], hops)
            }
            child if self.modules[place].names.children.iter().any(|name| name == child) => {
                self.descend(place, path, hops)
            }
            // A path that begins with an imported name goes on where the import leads.
            name if path.len() > 1 => {
                let imported = self.import(place, name)?;
                let whole: Vec<String> = imported.iter().chain(rest).cloned().collect();
                (hops < MOST_HOPS && imported.first().map(String::as_str) != Some(name))
                    .then(|| self.resolve(place, &whole, 0, hops + 1))?
            }
            _ => None,
        }
    }

    /// Follows a path downwards from a module, through what the modules on the way pass on.
    fn descend(&self, place: &str, path: &[String], hops: usize) -> Option<String> {
        let module = self.modules.get(place)?;
        let Some((first, rest)) = path.split_first() else { return Some(place.to_owned()) };
        let child = format!("{place}/{first}");
        if self.modules.contains_key(&child) {
            return self.descend(&child, rest, hops);
        }
        if hops < MOST_HOPS && !module.names.items.contains(first) {
            if let Some(imported) = self.import(place, first) {
                let whole: Vec<String> = imported.iter().chain(rest).cloned().collect();
                return self.resolve(place, &whole, 0, hops + 1).or_else(|| Some(place.to_owned()));
            }
            for glob in module.names.imports.iter().filter(|import| import.name.is_none() && import.depth == 0) {
                if let Some(target) = self.resolve(place, &glob.path, 0, hops + 1)
                    && self.modules[&target].names.items.contains(first)
                {
                    return Some(target);
                }
            }
        }
        Some(place.to_owned())
    }

    fn import(&self, place: &str, name: &str) -> Option<&Vec<String>> {
        let imports = &self.modules.get(place)?.names.imports;
        imports.iter().find(|import| import.depth == 0 && import.name.as_deref() == Some(name)).map(|i| &i.path)
    }
}

/// Whether a module is the other one or a descendant of it.
fn is_in(place: &str, above: &str) -> bool {
    place == above || place.starts_with(&format!("{above}/"))
}

/// Strongly connected components of more than one file.
fn components(edges: &Edges) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<String>> =
        edges.keys().map(|file| (file, reachable(edges, file))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (file, others) in &reached {
        if !others.contains(*file) || found.iter().any(|component| component.contains(*file)) {
            continue;
        }
        let comes_back = |other: &&String| reached.get(other).is_some_and(|back| back.contains(*file));
        found.push(others.iter().filter(comes_back).cloned().collect());
    }
    found
}

/// All files that are reached from a file, itself only if a way leads back.
fn reachable(edges: &Edges, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(file) = waiting.pop() {
        for next in edges.get(file).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(next.clone()) {
                waiting.push(next);
            }
        }
    }
    found
}

/// The shortest way from a file of the component back to itself, inside the component.
fn shortest_round(edges: &Edges, component: &BTreeSet<String>) -> Vec<(String, BTreeSet<String>)> {
    let rounds = component.iter().filter_map(|start| round_from(edges, component, start));
    rounds.min_by_key(Vec::len).unwrap_or_default()
}

fn round_from(edges: &Edges, component: &BTreeSet<String>, start: &str) -> Option<Vec<(String, BTreeSet<String>)>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(file) = waiting.pop_front() {
        for next in edges.get(file)?.keys().filter(|next| component.contains(*next)) {
            if next == start {
                let mut way = vec![file];
                while let Some(before) = came_from.get(way[way.len() - 1]) {
                    way.push(*before);
                }
                way.reverse();
                let following = way.iter().skip(1).copied().chain([start]);
                let named = way.iter().zip(following).map(|(from, to)| ((*from).to_owned(), edges[*from][to].clone()));
                return Some(named.collect());
            }
            if !came_from.contains_key(next.as_str()) {
                came_from.insert(next, file);
                waiting.push_back(next);
            }
        }
    }
    None
}

/// The checker itself: it finds planted cycles, and nothing where the arrows go one way.
#[cfg(test)]
mod tests {
    use super::{Source, cycles};

    fn of(files: &[(&str, &str)]) -> Vec<String> {
        let root = ("agent/src/lib.rs", "mod a; mod b; mod c;");
        let all = files.iter().chain([&root]);
        let sources: Vec<Source> =
            all.map(|(path, text)| Source { path: (*path).to_owned(), text: (*text).to_owned() }).collect();
        cycles(&sources).iter().map(super::Cycle::describe).collect()
    }

    #[test]
    fn two_files_that_use_each_other_are_a_cycle() {
        let found = of(&[
            ("agent/src/a.rs", "mod x; mod y;"),
            ("agent/src/a/x.rs", "use super::y::Y; pub struct X;"),
            ("agent/src/a/y.rs", "use crate::a::x; fn f() -> x::X {}"),
        ]);
        assert_eq!(found, ["agent/src/a/x.rs ─(Y)─► agent/src/a/y.rs ─(X, x)─► agent/src/a/x.rs"]);
    }

    #[test]
    fn three_files_in_a_ring_are_a_cycle() {
        let found = of(&[
            ("agent/src/a.rs", "use crate::b::B;"),
            ("agent/src/b.rs", "fn f() { crate::c::g() }"),
            ("agent/src/c.rs", "use super::a;"),
        ]);
        let expected = "agent/src/a.rs ─(B)─► agent/src/b.rs ─(g)─► agent/src/c.rs ─(a)─► agent/src/a.rs";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_parent_and_its_child_are_no_cycle() {
        let found = of(&[
            ("agent/src/a.rs", "mod x; pub use x::X; pub struct A; fn f() { x::g(A) }"),
            ("agent/src/a/x.rs", "use super::A; pub struct X; pub fn g(_: A) {}"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_parent_that_uses_its_child_is_part_of_a_way_around() {
        let files = |parent| {
            [
                ("agent/src/a.rs", parent),
                ("agent/src/a/x.rs", "use crate::b::B;"),
                ("agent/src/b.rs", "use super::a::A;"),
            ]
        };
        let expected = "agent/src/a.rs ─(g)─► agent/src/a/x.rs ─(B)─► agent/src/b.rs ─(A)─► agent/src/a.rs";
        assert_eq!(of(&files("mod x; pub struct A; fn f() { x::g() }")), [expected]);
        let passes_on = of(&files("mod x; pub use x::X; pub struct A;"));
        assert!(passes_on.is_empty(), "{passes_on:?}");
    }

    #[test]
    fn a_name_that_the_parent_passes_on_leads_to_the_child_that_has_it() {
        let parent = ("agent/src/a.rs", "mod x; mod y; pub use x::X; use y::Y as Other;");
        let found = of(&[
            parent,
            ("agent/src/a/x.rs", "use super::Other; pub struct X;"),
            ("agent/src/a/y.rs", "use crate::a::X; pub struct Y;"),
        ]);
        assert_eq!(found, ["agent/src/a/x.rs ─(Other)─► agent/src/a/y.rs ─(X)─► agent/src/a/x.rs"]);
        let one_way = of(&[
            parent,
            ("agent/src/a/x.rs", "use super::Other; pub struct X;"),
            ("agent/src/a/y.rs", "pub struct Y;"),
        ]);
        assert!(one_way.is_empty(), "{one_way:?}");
    }

    #[test]
    fn what_only_tests_use_is_no_edge() {
        let found = of(&[
            ("agent/src/a.rs", "use crate::b::B; pub struct A;"),
            ("agent/src/b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }
}
