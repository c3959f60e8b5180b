//! The handlers of a service, each with its routes, its policy and its place.

use crate::{
    edit::{self, Insertion, Mentions},
    evidence::{Evidence, Kind, Reader},
    package::{self, Package},
    policy::{self, Facts, Policy, Suggestion},
    program::{Function, FunctionId, Program},
    routes::{self, Route, Target},
    source::{Note, Position, Sources},
    syntax,
};
use quote::ToTokens;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use syn::{FnArg, ReturnType, Type};

/// A handler.
pub(crate) struct Handler {
    /// Methods and paths.
    pub(crate) routes: Vec<(String, String)>,
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) line: usize,
    /// The attribute that is there already.
    pub(crate) present: Option<String>,
    pub(crate) suggestion: Suggestion,
    /// Where the attribute goes, or why the command leaves this handler to its author.
    pub(crate) edit: Result<Insertion, String>,
}

impl Handler {
    /// Returns the policy in force, or else the suggested one.
    pub(crate) fn policy(&self) -> String {
        self.present.clone().unwrap_or_else(|| self.suggestion.policy.to_string())
    }
}

/// A route whose handler was not found.
pub(crate) struct Unresolved {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) place: String,
    pub(crate) text: String,
}

/// The report on a service.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) handlers: Vec<Handler>,
    pub(crate) unresolved: Vec<Unresolved>,
    /// Routes whose handler is a value, such as a string.
    pub(crate) constants: usize,
    /// Services behind a path.
    pub(crate) services: usize,
    pub(crate) notes: Vec<Note>,
    /// The folder that was scanned. The paths of files are relative to it.
    pub(crate) root: PathBuf,
}

/// A service that was read.
pub(crate) struct Service {
    pub(crate) sources: Sources,
    pub(crate) packages: Vec<Package>,
    pub(crate) report: Report,
}

impl Service {
    /// Reads the service at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let mut sources = Sources::new(package::folder_of(path));
        let packages = package::find(path, &mut sources)?;
        let (files, roots) = Program::load(&packages, &mut sources);
        let mut report = {
            let program = Program::new(&sources, &packages, &files, &roots);
            let reader = Reader::new(&program);
            let routes = routes::of(&program, &reader);
            Builder { program: &program, reader: &reader }.report(routes)
        };
        report.notes.clone_from(&sources.notes);
        report.root.clone_from(&sources.root);
        Ok(Self { sources, packages, report })
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.report.notes.iter().map(ToString::to_string).collect()
    }
}

struct Builder<'a> {
    program: &'a Program<'a>,
    reader: &'a Reader<'a>,
}

/// Routes by the place of their handler. Several handlers may begin on one line.
type ByPlace = BTreeMap<Position, (Target, Vec<(String, String)>)>;

impl Builder<'_> {
    fn report(&self, routes: routes::Routes) -> Report {
        let mut report = Report { services: routes.services, ..Report::default() };
        let mut by_place = ByPlace::new();
        for route in routes.list {
            self.sort(route, &mut by_place, &mut report);
        }
        let mentions = edit::mentions(self.program, &routes.named);
        for ((file, line, _), (target, mut routes)) in by_place {
            routes.sort();
            routes.dedup();
            let handler = match &target {
                Target::Function(id) => Some(self.function(*id, routes, &mentions)),
                _ => self.closure(&target, routes, file, line),
            };
            report.handlers.extend(handler);
        }
        report
    }

    fn sort(&self, route: Route, by_place: &mut ByPlace, report: &mut Report) {
        let place = match &route.target {
            Target::Function(id) => self.program.position(*id),
            Target::Closure { place, .. } => place.clone(),
            Target::Constant => {
                report.constants += 1;
                return;
            }
            Target::Unknown { text } => {
                report.unresolved.push(Unresolved {
                    method: route.method,
                    path: route.path,
                    place: route.place,
                    text: text.clone(),
                });
                return;
            }
        };
        let entry = by_place.entry(place).or_insert_with(|| (route.target, Vec::new()));
        entry.1.push((route.method, route.path));
    }

    fn function(
        &self,
        id: FunctionId,
        routes: Vec<(String, String)>,
        mentions: &Mentions,
    ) -> Handler {
        let function = &self.program.functions[id];
        let evidence = self.reader.evidence(&self.reader.body(id));
        let methods = methods(&routes);
        let facts = Facts {
            methods: &methods,
            name: &function.name,
            evidence: &evidence,
            streams: streams(function.signature),
            arriving: arriving(function.signature),
        };
        let mut suggestion = policy::suggest(self.program, &facts);
        let present = edit::present(self.program, id);
        if present.as_ref().is_some_and(|present| present.contains("safe_method"))
            || suggestion.policy == Policy::Stream && has_durable_site(function)
        {
            suggestion.write_behind_get = false;
        }
        let place = self.program.position(id);
        let edit =
            edit::place(self.program, id, &suggestion, mentions.get(&place), discards(&evidence));
        let (file, line, _) = place;
        Handler { routes, name: self.program.display(id), file, line, present, suggestion, edit }
    }

    fn closure(
        &self,
        target: &Target,
        routes: Vec<(String, String)>,
        file: String,
        line: usize,
    ) -> Option<Handler> {
        let Target::Closure { body, signature, present, .. } = target else { return None };
        let evidence = self.reader.evidence(body);
        let methods = methods(&routes);
        let upgrade = signature.contains("WebSocketUpgrade").then(|| "WebSocketUpgrade".to_owned());
        let facts = Facts {
            methods: &methods,
            name: "",
            evidence: &evidence,
            streams: upgrade,
            arriving: None,
        };
        let suggestion = policy::suggest(self.program, &facts);
        let wrapper = suggestion.policy;
        let why = format!(
            "a closure takes no attribute: write `followthrough::policy::{wrapper}(..)` around it, in a \
             `followthrough::Router`"
        );
        let present = present.clone();
        let name = "closure".to_owned();
        Some(Handler { routes, name, file, line, present, suggestion, edit: Err(why) })
    }
}

fn methods(routes: &[(String, String)]) -> Vec<String> {
    let mut methods: Vec<String> = routes.iter().map(|(method, _)| method.clone()).collect();
    methods.sort();
    methods.dedup();
    methods
}

/// A statement of the body is a durable write of its own.
fn has_durable_site(function: &Function<'_>) -> bool {
    function
        .block
        .is_some_and(|block| block.to_token_stream().to_string().contains("durable_write"))
}

/// The handler itself throws away the handle of a task.
fn discards(evidence: &[Evidence]) -> bool {
    evidence.iter().any(|found| found.calls == 0 && found.fact.kind == Kind::DiscardedSpawn)
}

/// Returns the type of a signature that continues after the response's head.
fn streams(signature: &syn::Signature) -> Option<String> {
    let upgrade = signature.inputs.iter().any(|input| match input {
        FnArg::Typed(typed) => syntax::type_names(&typed.ty, &[]).contains("WebSocketUpgrade"),
        FnArg::Receiver(_) => false,
    });
    if upgrade {
        return Some("WebSocketUpgrade".to_owned());
    }
    let ReturnType::Type(_, ty) = &signature.output else { return None };
    let names = syntax::type_names(ty, &[]);
    ["Sse", "StreamBody"].into_iter().find(|name| names.contains(*name)).map(str::to_owned)
}

/// Returns the name of the parameter's type whose body is still arriving, by the same names as the macros.
fn arriving(signature: &syn::Signature) -> Option<String> {
    signature.inputs.iter().find_map(|input| {
        let FnArg::Typed(typed) = input else { return None };
        let Type::Path(ty) = &*typed.ty else { return None };
        let mut path = &ty.path;
        let last = path.segments.last()?;
        if let ("Result" | "Option", syn::PathArguments::AngleBracketed(args)) =
            (last.ident.to_string().as_str(), &last.arguments)
        {
            match args.args.first()? {
                syn::GenericArgument::Type(Type::Path(inner)) => path = &inner.path,
                _ => return None,
            }
        }
        let name = syntax::last(path);
        ["Body", "Request", "Multipart"].contains(&name.as_str()).then_some(name)
    })
}
