//! The files of OpenSSH's configuration: which, from where, and whether they may be trusted.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    cli::{
        context::Context,
        error::{Error, Kind},
    },
    openssh_config::{Config, ConfigError, Document, Include, Local},
};

/// The system's file and its folder.
const SYSTEM_FILE: &str = "/etc/ssh/ssh_config";
const SYSTEM_FOLDER: &str = "/etc/ssh";

/// No configuration is longer; what is longer is something else (`/dev/zero`).
const LONGEST: u64 = 16 << 20;

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint.clone();
        let error = Self::new(Kind::Usage, error.to_string());
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// Reads what there is: the given file and no other (`none`: none at all), else the user's and the system's.
pub(super) fn read(context: &Context, given: Option<&Path>, options: &[String]) -> Result<Config, Error> {
    let mut documents = Vec::new();
    let user_folder = context.config.ssh_dir.clone().unwrap_or_default();
    match given {
        Some(none) if none.as_os_str().eq_ignore_ascii_case("none") => {}
        Some(file) => {
            let text = text(file, Trust::Any).map_err(|error| unreadable(file, error))?;
            documents.push(document(file, text, &user_folder));
        }
        None => {
            let files = [
                (user_folder.join("config"), user_folder.clone(), Trust::OwnOnly),
                (SYSTEM_FILE.into(), SYSTEM_FOLDER.into(), Trust::Any),
            ];
            for (file, folder, trust) in files {
                match text(&file, trust) {
                    Ok(text) => documents.push(document(&file, text, &folder)),
                    Err(Trouble::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(unreadable(&file, error)),
                }
            }
        }
    }
    // What the user's own file includes must be as safe as it is itself.
    let own_only = given.is_none();
    let user_folder = user_folder.to_string_lossy().into_owned();
    let mut include = |include: Include<'_>| {
        let trust = if own_only && include.folder == user_folder { Trust::OwnOnly } else { Trust::Any };
        included(context, include, trust)
    };
    Ok(Config::parse(options, &documents, &mut include)?)
}

/// This machine and its user, as a configuration's tokens want them.
pub(super) struct Here<'a> {
    user: String,
    home: String,
    context: &'a Context,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Here<'a> {
    pub(super) fn new(context: &'a Context, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let home = context.config.home.clone().unwrap_or_default();
        Self {
            user: context.config.user.clone().unwrap_or_default(),
            home: home.to_string_lossy().into_owned(),
            context,
            env,
        }
    }

    pub(super) fn local(&self) -> Local<'_> {
        Local {
            user: &self.user,
            uid: &self.context.config.uid,
            home: &self.home,
            hostname: &self.context.config.hostname,
            env: self.env,
        }
    }
}

/// Looks a variable up.
pub(super) fn variable(context: &Context, name: &str) -> Option<String> {
    context.config.environment.iter().find(|(there, _)| there == name).map(|(_, value)| value.clone())
}

/// Whom a file must belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It was named, or is the system's.
    Any,
    /// To the user or to root, and nobody else may write it: it decides whom a key is shown to.
    OwnOnly,
}

#[derive(Debug)]
enum Trouble {
    Io(io::Error),
    /// Others can write it.
    Loose,
    TooLong,
    NotText,
}

fn text(file: &Path, trust: Trust) -> Result<String, Trouble> {
    use io::Read as _;
    let open = fs::File::open(file).map_err(Trouble::Io)?;
    let about = open.metadata().map_err(Trouble::Io)?;
    if about.is_dir() {
        return Err(Trouble::Io(io::ErrorKind::IsADirectory.into()));
    }
    if trust == Trust::OwnOnly && is_loose(&about) {
        return Err(Trouble::Loose);
    }
    let mut bytes = Vec::new();
    open.take(LONGEST + 1).read_to_end(&mut bytes).map_err(Trouble::Io)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Trouble::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| Trouble::NotText)
}

/// As ssh(1) has it for the user's own file. Windows has no such bits.
#[cfg(unix)]
fn is_loose(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let owner = about.uid();
    let is_ours = owner == 0 || owner == rustix::process::getuid().as_raw();
    !is_ours || about.mode() & 0o022 != 0
}

#[cfg(not(unix))]
fn is_loose(_about: &fs::Metadata) -> bool {
    false
}

fn unreadable(file: &Path, trouble: Trouble) -> Error {
    let name = file.display();
    match trouble {
        Trouble::Loose => {
            Error::new(Kind::Refused, format!("the configuration {name} is not safe: others can write it"))
                .hint(format!("`chmod go-w {name}`, and `chown $USER {name}` where it is somebody else's"))
        }
        Trouble::Io(error) => Error::new(Kind::Usage, format!("can't read the configuration {name}"))
            .caused_by(Some(&error))
            .hint("take another one with `-F FILE`, or none with `-F none`"),
        Trouble::TooLong => Error::new(Kind::Usage, format!("{name} is too long for a configuration")),
        Trouble::NotText => {
            Error::new(Kind::Usage, format!("{name} is no configuration: it is not UTF-8 text"))
        }
    }
}

fn document(file: &Path, text: String, folder: &Path) -> Document {
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    Document { file: shown(file), text, folder: shown(folder) }
}

/// What an `Include` names, in order of the names. As in ssh(1), what is not there is nothing, and so is what may not
/// be read.
fn included(context: &Context, include: Include<'_>, trust: Trust) -> Result<Vec<Document>, String> {
    let Include { pattern, folder } = include;
    let env = |name: &str| variable(context, name);
    let here = Here::new(context, &env);
    let pattern = here.local().path(pattern)?;
    let whole =
        if Path::new(&pattern).is_absolute() { pattern.into() } else { Path::new(folder).join(pattern) };
    let whole = whole.to_string_lossy();
    let paths = glob::glob(&whole).map_err(|error| format!("`{whole}` is no pattern of names: {error}"))?;
    let mut documents = Vec::new();
    for path in paths.filter_map(Result::ok) {
        let path: PathBuf = path;
        match text(&path, trust) {
            Ok(text) => documents.push(document(&path, text, Path::new(folder))),
            Err(Trouble::Io(error))
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {}
            Err(trouble) => return Err(unreadable(&path, trouble).message),
        }
    }
    Ok(documents)
}
