//! The keywords that OpenSSH 10 knows, what their values look like, and what becomes of them here.

/// Which option a line sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Keyword(usize);

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `yes` or `no`.
    Flag,
    /// `yes`, `no` or one of these; `ssh -G` prints the first two as `true` and `false`.
    States(&'static [&'static str]),
    /// One of these words.
    Words(&'static [&'static str]),
    /// A whole number from 0.
    Number,
    /// A number from 1 to 65535.
    Port,
    /// A time (sshd_config(5), TIME FORMATS) or `none`.
    Time,
    /// One argument.
    Text,
    /// All arguments.
    List,
    /// One argument for every line; lines add up.
    Lines,
    /// All arguments of all lines.
    Gathered,
    /// All arguments as one forward; lines add up.
    Forwards,
    /// `[user@]host[:port]`, several with commas, or `none`.
    Jumps,
    /// Algorithms with commas.
    Algorithms,
    /// The rest of the line as it is.
    Rest,
    /// Anything.
    Any,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does what it does in OpenSSH.
    Used,
    /// It is left out, with a note.
    Noted,
    /// Its meaning decides how safe the connection is, or where it goes: with any other value than these it is an
    /// error, for this reason.
    Refused(&'static [&'static str], &'static str),
    /// OpenSSH leaves it out as well.
    Gone,
}

pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) standing: Standing,
}

const fn row(name: &'static str, kind: Kind, standing: Standing) -> Row {
    Row { name, kind, standing }
}

use Kind::{Algorithms, Any, Flag, Forwards, Gathered, Jumps, Lines, List, Number, Port, Rest, Text, Time};
use Standing::{Gone, Noted, Refused, Used};

const YES_NO_ASK: Kind = Kind::States(&["ask"]);

macro_rules! keywords {
    ($($constant:ident: $name:literal, $kind:expr, $standing:expr;)*) => {
        keywords!(@constants 0usize; $($constant)*);
        pub(super) static ROWS: &[Row] = &[$(row($name, $kind, $standing)),*];
    };
    (@constants $n:expr; $first:ident $($rest:ident)*) => {
        impl Keyword {
            #[allow(missing_docs, reason = "each is the keyword of ssh_config(5) by its name")]
            #[allow(dead_code, reason = "what is only noted is named nowhere else")]
            pub const $first: Self = Self($n);
        }
        keywords!(@constants $n + 1usize; $($rest)*);
    };
    (@constants $n:expr;) => {};
}

keywords! {
    HOST_NAME: "HostName", Text, Used;
    USER: "User", Text, Used;
    PORT: "Port", Port, Used;
    IDENTITY_FILE: "IdentityFile", Lines, Used;
    CERTIFICATE_FILE: "CertificateFile", Lines, Used;
    IDENTITIES_ONLY: "IdentitiesOnly", Flag, Used;
    IDENTITY_AGENT: "IdentityAgent", Text, Used;
    PROXY_JUMP: "ProxyJump", Jumps, Used;
    PROXY_COMMAND: "ProxyCommand", Rest, Used;
    SERVER_ALIVE_INTERVAL: "ServerAliveInterval", Time, Used;
    SERVER_ALIVE_COUNT_MAX: "ServerAliveCountMax", Number, Used;
    CONNECT_TIMEOUT: "ConnectTimeout", Time, Used;
    USER_KNOWN_HOSTS_FILE: "UserKnownHostsFile", List, Used;
    GLOBAL_KNOWN_HOSTS_FILE: "GlobalKnownHostsFile", List, Used;
    STRICT_HOST_KEY_CHECKING: "StrictHostKeyChecking", Kind::States(&["ask", "off", "accept-new"]), Used;
    HOST_KEY_ALIAS: "HostKeyAlias", Text, Used;
    SEND_ENV: "SendEnv", Gathered, Used;
    SET_ENV: "SetEnv", List, Used;
    CIPHERS: "Ciphers", Algorithms, Used;
    MACS: "MACs", Algorithms, Used;
    KEX_ALGORITHMS: "KexAlgorithms", Algorithms, Used;
    HOST_KEY_ALGORITHMS: "HostKeyAlgorithms", Algorithms, Used;
    PUBKEY_ACCEPTED_ALGORITHMS: "PubkeyAcceptedAlgorithms", Algorithms, Used;
    PREFERRED_AUTHENTICATIONS: "PreferredAuthentications", Text, Used;
    PASSWORD_AUTHENTICATION: "PasswordAuthentication", Flag, Used;
    KBD_INTERACTIVE_AUTHENTICATION: "KbdInteractiveAuthentication", Flag, Used;
    PUBKEY_AUTHENTICATION: "PubkeyAuthentication", Kind::States(&["unbound", "host-bound"]), Used;
    NUMBER_OF_PASSWORD_PROMPTS: "NumberOfPasswordPrompts", Number, Used;
    BATCH_MODE: "BatchMode", Flag, Used;
    REQUEST_TTY: "RequestTTY", Kind::States(&["force", "auto"]), Used;
    REMOTE_COMMAND: "RemoteCommand", Rest, Used;
    SESSION_TYPE: "SessionType", Kind::Words(&["none", "subsystem", "default"]), Used;
    STDIN_NULL: "StdinNull", Flag, Used;
    ESCAPE_CHAR: "EscapeChar", Text, Used;
    FORWARD_AGENT: "ForwardAgent", Text, Used;
    LOCAL_FORWARD: "LocalForward", Forwards, Used;
    REMOTE_FORWARD: "RemoteForward", Forwards, Used;
    DYNAMIC_FORWARD: "DynamicForward", Forwards, Used;
    CLEAR_ALL_FORWARDINGS: "ClearAllForwardings", Flag, Used;
    EXIT_ON_FORWARD_FAILURE: "ExitOnForwardFailure", Flag, Used;
    GATEWAY_PORTS: "GatewayPorts", Flag, Used;
    ADDRESS_FAMILY: "AddressFamily", Kind::Words(&["inet", "inet6", "any"]), Used;
    TAG: "Tag", Text, Used;
    IGNORE_UNKNOWN: "IgnoreUnknown", Text, Used;

    // How safe the connection is, or where it goes, depends on these.
    KNOWN_HOSTS_COMMAND: "KnownHostsCommand", Rest, Refused(&["none"], "other programs are not started, and keys that it would tell stay unknown");
    REVOKED_HOST_KEYS: "RevokedHostKeys", Text, Refused(&["none"], "revoked keys are read from known_hosts only (@revoked)");
    CANONICALIZE_HOSTNAME: "CanonicalizeHostname", Kind::States(&["always"]), Refused(&["no"], "names are dialled as they are written");
    BIND_ADDRESS: "BindAddress", Text, Refused(&[], "the system chooses the source address");
    BIND_INTERFACE: "BindInterface", Text, Refused(&[], "the system chooses the interface");
    PROXY_USE_FDPASS: "ProxyUseFdpass", Flag, Refused(&["no"], "other programs are not started");
    PKCS11_PROVIDER: "PKCS11Provider", Text, Refused(&["none"], "no library is loaded for keys: load the key into an agent (`ssh-add -s`)");
    SECURITY_KEY_PROVIDER: "SecurityKeyProvider", Text, Noted;
    REQUIRED_RSA_SIZE: "RequiredRSASize", Number, Used;
    CA_SIGNATURE_ALGORITHMS: "CASignatureAlgorithms", Algorithms, Noted;
    REFUSE_CONNECTION: "RefuseConnection", Rest, Refused(&[], "the configuration refuses this connection");
    LOCAL_COMMAND: "LocalCommand", Rest, Used;
    PERMIT_LOCAL_COMMAND: "PermitLocalCommand", Flag, Used;
    PERMIT_REMOTE_OPEN: "PermitRemoteOpen", List, Refused(&["any"], "what the server may open is not limited by name");
    WARN_WEAK_CRYPTO: "WarnWeakCrypto", Any, Noted;

    ADD_KEYS_TO_AGENT: "AddKeysToAgent", Any, Noted;
    CANONICAL_DOMAINS: "CanonicalDomains", Any, Noted;
    CANONICALIZE_FALLBACK_LOCAL: "CanonicalizeFallbackLocal", Flag, Noted;
    CANONICALIZE_MAX_DOTS: "CanonicalizeMaxDots", Number, Noted;
    CANONICALIZE_PERMITTED_CNAMES: "CanonicalizePermittedCNAMEs", Any, Noted;
    CHANNEL_TIMEOUT: "ChannelTimeout", Any, Noted;
    CHECK_HOST_IP: "CheckHostIP", Flag, Noted;
    COMPRESSION: "Compression", Flag, Noted;
    CONNECTION_ATTEMPTS: "ConnectionAttempts", Number, Noted;
    CONTROL_MASTER: "ControlMaster", Kind::States(&["ask", "auto", "autoask"]), Noted;
    CONTROL_PATH: "ControlPath", Text, Noted;
    CONTROL_PERSIST: "ControlPersist", Any, Noted;
    ENABLE_ESCAPE_COMMANDLINE: "EnableEscapeCommandline", Flag, Noted;
    ENABLE_SSH_KEYSIGN: "EnableSSHKeysign", Flag, Noted;
    FINGERPRINT_HASH: "FingerprintHash", Text, Noted;
    FORK_AFTER_AUTHENTICATION: "ForkAfterAuthentication", Flag, Noted;
    FORWARD_X11: "ForwardX11", Flag, Noted;
    FORWARD_X11_TIMEOUT: "ForwardX11Timeout", Any, Noted;
    FORWARD_X11_TRUSTED: "ForwardX11Trusted", Flag, Noted;
    GSSAPI_AUTHENTICATION: "GSSAPIAuthentication", Flag, Noted;
    GSSAPI_CLIENT_IDENTITY: "GSSAPIClientIdentity", Text, Noted;
    GSSAPI_DELEGATE_CREDENTIALS: "GSSAPIDelegateCredentials", Flag, Noted;
    GSSAPI_KEX_ALGORITHMS: "GSSAPIKexAlgorithms", Text, Noted;
    GSSAPI_KEY_EXCHANGE: "GSSAPIKeyExchange", Flag, Noted;
    GSSAPI_RENEWAL_FORCES_REKEY: "GSSAPIRenewalForcesRekey", Flag, Noted;
    GSSAPI_SERVER_IDENTITY: "GSSAPIServerIdentity", Text, Noted;
    GSSAPI_TRUST_DNS: "GSSAPITrustDns", Flag, Noted;
    HASH_KNOWN_HOSTS: "HashKnownHosts", Flag, Used;
    HOSTBASED_ACCEPTED_ALGORITHMS: "HostbasedAcceptedAlgorithms", Algorithms, Noted;
    HOSTBASED_AUTHENTICATION: "HostbasedAuthentication", Flag, Noted;
    IPQOS: "IPQoS", Any, Noted;
    KBD_INTERACTIVE_DEVICES: "KbdInteractiveDevices", Text, Noted;
    LOG_LEVEL: "LogLevel", Text, Noted;
    LOG_VERBOSE: "LogVerbose", Any, Noted;
    NO_HOST_AUTHENTICATION_FOR_LOCALHOST: "NoHostAuthenticationForLocalhost", Flag, Noted;
    OBSCURE_KEYSTROKE_TIMING: "ObscureKeystrokeTiming", Any, Noted;
    REKEY_LIMIT: "RekeyLimit", Any, Noted;
    STREAM_LOCAL_BIND_MASK: "StreamLocalBindMask", Text, Noted;
    STREAM_LOCAL_BIND_UNLINK: "StreamLocalBindUnlink", Flag, Noted;
    SYSLOG_FACILITY: "SyslogFacility", Text, Noted;
    TCP_KEEP_ALIVE: "TCPKeepAlive", Flag, Noted;
    TUNNEL: "Tunnel", Kind::States(&["point-to-point", "ethernet"]), Noted;
    TUNNEL_DEVICE: "TunnelDevice", Text, Noted;
    UPDATE_HOST_KEYS: "UpdateHostKeys", YES_NO_ASK, Noted;
    VERIFY_HOST_KEY_DNS: "VerifyHostKeyDNS", YES_NO_ASK, Noted;
    VERSION_ADDENDUM: "VersionAddendum", Any, Noted;
    VISUAL_HOST_KEY: "VisualHostKey", Flag, Noted;
    XAUTH_LOCATION: "XAuthLocation", Text, Noted;

    AFS_TOKEN_PASSING: "AFSTokenPassing", Any, Gone;
    CIPHER: "Cipher", Any, Gone;
    COMPRESSION_LEVEL: "CompressionLevel", Any, Gone;
    FALLBACK_TO_RSH: "FallBackToRsh", Any, Gone;
    GLOBAL_KNOWN_HOSTS_FILE2: "GlobalKnownHostsFile2", Any, Gone;
    KERBEROS_AUTHENTICATION: "KerberosAuthentication", Any, Gone;
    KERBEROS_TGT_PASSING: "KerberosTgtPassing", Any, Gone;
    PROTOCOL: "Protocol", Any, Gone;
    RHOSTS_AUTHENTICATION: "RhostsAuthentication", Any, Gone;
    RHOSTS_RSA_AUTHENTICATION: "RhostsRSAAuthentication", Any, Gone;
    RSA_AUTHENTICATION: "RSAAuthentication", Any, Gone;
    USE_PRIVILEGED_PORT: "UsePrivilegedPort", Any, Gone;
    USE_ROAMING: "UseRoaming", Any, Gone;
    USE_RSH: "UseRsh", Any, Gone;
    USER_KNOWN_HOSTS_FILE2: "UserKnownHostsFile2", Any, Gone;
}

/// Other names of the same.
const OTHER_NAMES: [(&str, Keyword); 8] = [
    ("ChallengeResponseAuthentication", Keyword::KBD_INTERACTIVE_AUTHENTICATION),
    ("SKeyAuthentication", Keyword::KBD_INTERACTIVE_AUTHENTICATION),
    ("TISAuthentication", Keyword::KBD_INTERACTIVE_AUTHENTICATION),
    ("PubkeyAcceptedKeyTypes", Keyword::PUBKEY_ACCEPTED_ALGORITHMS),
    ("HostbasedKeyTypes", Keyword::HOSTBASED_ACCEPTED_ALGORITHMS),
    ("DSAAuthentication", Keyword::PUBKEY_AUTHENTICATION),
    ("IdentityFile2", Keyword::IDENTITY_FILE),
    ("SmartcardDevice", Keyword::PKCS11_PROVIDER),
];

impl Keyword {
    /// A keyword by its name, without regard to case.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let place = ROWS.iter().position(|row| row.name.eq_ignore_ascii_case(name)).map(Self);
        let others = || OTHER_NAMES.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        place.or_else(|| others().map(|(_, keyword)| *keyword))
    }

    /// The keyword that a mistyped one is likely to be.
    pub(super) fn nearest(name: &str) -> Option<&'static str> {
        // Two letters wrong are a mistake, three are another word.
        let near = |row: &&Row| strsim::levenshtein(&row.name.to_lowercase(), &name.to_lowercase()) <= 2;
        ROWS.iter().find(near).map(|row| row.name)
    }

    /// Its name as the manual writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        ROWS.get(self.0).map_or("", |row| row.name)
    }

    pub(super) fn kind(self) -> Kind {
        ROWS.get(self.0).map_or(Any, |row| row.kind)
    }

    pub(super) fn standing(self) -> Standing {
        ROWS.get(self.0).map_or(Gone, |row| row.standing)
    }
}
