//! Where the Azure Resource Manager (ARM) is: Azure's clouds, and an address of one's own.
//!
//! A token goes to the origin of the [`Service`] and nowhere else: what an answer points to
//! (`nextLink`, `Location`) must have the same one.

use std::{fmt, str::FromStr};

use reqwest::Url;
use thiserror::Error;

/// One of Azure's separate clouds. Names as in `AzureEnvironment` of Azure's SDKs; the Azure CLI's own
/// (`az cloud list`) are understood too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cloud {
    /// The one that most use.
    #[default]
    AzurePublic,
    /// For the government of the United States.
    AzureUSGovernment,
    /// In China, run by 21Vianet.
    AzureChina,
}

/// A cloud's fixed addresses, as `az cloud show` prints them.
struct Addresses {
    manager: &'static str,
    authority: &'static str,
    cli_name: &'static str,
}

impl Cloud {
    fn addresses(self) -> Addresses {
        match self {
            Self::AzurePublic => Addresses {
                manager: "https://management.azure.com",
                authority: "https://login.microsoftonline.com",
                cli_name: "AzureCloud",
            },
            Self::AzureUSGovernment => Addresses {
                manager: "https://management.usgovcloudapi.net",
                authority: "https://login.microsoftonline.us",
                cli_name: "AzureUSGovernment",
            },
            Self::AzureChina => Addresses {
                manager: "https://management.chinacloudapi.cn",
                authority: "https://login.chinacloudapi.cn",
                cli_name: "AzureChinaCloud",
            },
        }
    }

    /// What the Azure CLI calls this cloud (`environmentName` of its profile).
    #[must_use]
    pub fn cli_name(self) -> &'static str {
        self.addresses().cli_name
    }
}

/// The name as it is given with `--cloud`.
impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AzurePublic => "AzurePublic",
            Self::AzureUSGovernment => "AzureUSGovernment",
            Self::AzureChina => "AzureChina",
        })
    }
}

/// A name that is no cloud's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is no Azure cloud: AzurePublic, AzureUSGovernment or AzureChina")]
pub struct CloudError(String);

impl FromStr for Cloud {
    type Err = CloudError;

    fn from_str(text: &str) -> Result<Self, CloudError> {
        match text.to_ascii_lowercase().as_str() {
            "azurepublic" | "azurecloud" => Ok(Self::AzurePublic),
            "azureusgovernment" => Ok(Self::AzureUSGovernment),
            "azurechina" | "azurechinacloud" => Ok(Self::AzureChina),
            _ => Err(CloudError(text.into())),
        }
    }
}

/// Why an address can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServiceError {
    /// It is no URL, or one with parts that a base address can't have.
    #[error("\"{given}\" is not the address of a resource manager: {problem}")]
    Address {
        /// As it was given, without a password that may be in it.
        given: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A token would cross the network in clear text.
    #[error("\"{0}\" would get the sign-in's token over plain http")]
    PlainHttp(String),
}

impl ServiceError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address { .. } => {
                "unset AZURE_RESOURCE_MANAGER_ENDPOINT, or make it like `https://management.azure.com`"
            }
            Self::PlainHttp(_) => {
                "give AZURE_RESOURCE_MANAGER_ENDPOINT an https address; plain http is taken on localhost only"
            }
        }
    }
}

/// An ARM service: where it is, what its tokens are for, and who gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    base: Url,
    cloud: Cloud,
}

/// A link in an answer that leads away from the service; to which origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elsewhere(pub(super) String);

impl Service {
    /// The service of a cloud, or the one at `endpoint` (the value of `AZURE_RESOURCE_MANAGER_ENDPOINT`),
    /// whose tokens are those of the cloud all the same.
    ///
    /// Over https any address will do. Plain http is taken on a loopback address or `localhost` only, and
    /// there the token is sent as well: it is a stand-in for Azure or a forwarded port, and naming it is
    /// the user's own word.
    ///
    /// # Errors
    /// When the address is no plain base address, or would get tokens in clear text over a network.
    pub fn new(cloud: Cloud, endpoint: Option<&str>) -> Result<Self, ServiceError> {
        let text = endpoint.unwrap_or(cloud.addresses().manager);
        let wrong = |given: &str, problem: &str| ServiceError::Address {
            given: given.into(),
            problem: problem.into(),
        };
        let Ok(base) = Url::parse(text) else {
            // Nothing of it is shown: what can't be taken apart may have a password anywhere.
            return Err(wrong("AZURE_RESOURCE_MANAGER_ENDPOINT", "it is no URL"));
        };
        let shown = base.origin().ascii_serialization();
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong(&shown, "a user name or password has no place in it"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong(&shown, "nothing may follow its path"));
        }
        match base.scheme() {
            "https" => Ok(Self { base, cloud }),
            "http" if is_loopback(&base) => Ok(Self { base, cloud }),
            "http" => Err(ServiceError::PlainHttp(shown)),
            other => Err(wrong(text, &format!("\"{other}\" is neither https nor http"))),
        }
    }

    /// The base address.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The cloud whose tokens are used.
    #[must_use]
    pub fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// What a token is asked for: `https://management.azure.com/.default` and its like.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("{}/.default", self.cloud.addresses().manager)
    }

    /// Who gives the tokens: `https://login.microsoftonline.com` and its like.
    #[must_use]
    pub fn authority(&self) -> &'static str {
        self.cloud.addresses().authority
    }

    /// Whether it is on this machine; proxies are then not asked.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_loopback(&self.base)
    }

    /// The address of a path of the service, with a query. Spaces are `%20`: not everything behind ARM
    /// takes a `+` for one.
    #[must_use]
    pub fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{}", self.base.path().trim_end_matches('/'), path.trim_start_matches('/')));
        url.query_pairs_mut().extend_pairs(query);
        let spaced = url.query().map(|query| query.replace('+', "%20"));
        url.set_query(spaced.as_deref().filter(|query| !query.is_empty()));
        url
    }

    /// Where a link of an answer leads, if that is this service.
    pub(super) fn follow(&self, link: &str) -> Result<Url, Elsewhere> {
        let url = self.base.join(link).map_err(|_| Elsewhere("an address that is no URL".into()))?;
        if url.origin() == self.base.origin() && url.username().is_empty() && url.password().is_none() {
            Ok(url)
        } else {
            Err(Elsewhere(url.origin().ascii_serialization()))
        }
    }
}

/// Whether a host is this machine, by number or by its reserved name (RFC 6761).
pub(super) fn is_loopback(url: &Url) -> bool {
    // Numbers come normalised out of the parser, in brackets where they are IPv6.
    let host = url.host_str().unwrap_or_default();
    let number = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || number.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(endpoint: &str) -> Result<Service, ServiceError> {
        Service::new(Cloud::AzurePublic, Some(endpoint))
    }

    #[test]
    fn clouds_have_their_addresses() {
        for (name, base, scope, authority) in [
            ("azurepublic", "management.azure.com", "management.azure.com", "login.microsoftonline.com"),
            ("AzureCloud", "management.azure.com", "management.azure.com", "login.microsoftonline.com"),
            (
                "AzureUSGovernment",
                "management.usgovcloudapi.net",
                "management.usgovcloudapi.net",
                "login.microsoftonline.us",
            ),
            (
                "AZURECHINA",
                "management.chinacloudapi.cn",
                "management.chinacloudapi.cn",
                "login.chinacloudapi.cn",
            ),
        ] {
            let service = Service::new(name.parse().unwrap(), None).unwrap();
            assert_eq!(service.base().as_str(), format!("https://{base}/"));
            assert_eq!(service.scope(), format!("https://{scope}/.default"));
            assert_eq!(service.authority(), format!("https://{authority}"));
            assert_eq!(service.cloud().to_string().parse(), Ok(service.cloud()));
        }
        let error = "AzureMars".parse::<Cloud>().unwrap_err().to_string();
        assert_eq!(error, "\"AzureMars\" is no Azure cloud: AzurePublic, AzureUSGovernment or AzureChina");
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for good in [
            "http://127.0.0.1:8080",
            "http://127.8.9.1/",
            "http://[::1]:80",
            "http://LOCALHOST:1",
            "https://arm.example",
            "https://10.0.0.1:8443/prefix/",
        ] {
            assert!(service(good).is_ok(), "{good}");
        }
        for plain in [
            "http://10.0.0.1",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://[::2]",
            "http://management.azure.com",
        ] {
            assert!(matches!(service(plain), Err(ServiceError::PlainHttp(_))), "{plain}");
        }
        for wrong in ["", "management.azure.com", "ftp://x", "https://x?y", "https://x#y", "https://u:pw@x"] {
            let error = service(wrong).unwrap_err();
            assert!(matches!(error, ServiceError::Address { .. }), "{wrong}: {error}");
            assert!(!error.to_string().contains("pw"), "{error}");
        }
    }

    #[test]
    fn a_path_and_a_query_are_put_on_the_base() {
        let service = service("https://x.example/arm/").unwrap();
        let url = service.url("/subscriptions/s/resourceGroups/My Group", &[("$filter", "'a/b' eq 'c+d'")]);
        assert_eq!(
            url.as_str(),
            "https://x.example/arm/subscriptions/s/resourceGroups/My%20Group?%24filter=%27a%2Fb%27%20eq%20%27c%2Bd%27"
        );
        assert_eq!(
            service.url("//evil.example/?#", &[]).as_str(),
            "https://x.example/arm/evil.example/%3F%23"
        );
    }

    #[test]
    fn links_away_are_not_followed() {
        let service = service("https://x.example").unwrap();
        for good in ["https://x.example:443/a?b", "https://X.example/a", "/a?b"] {
            assert!(service.follow(good).is_ok(), "{good}");
        }
        for (away, origin) in [
            ("https://y.example/a", "https://y.example"),
            ("http://x.example/a", "http://x.example"),
            ("https://x.example:444/a", "https://x.example:444"),
            ("//y.example/a", "https://y.example"),
            ("https://x.example@y.example/", "https://y.example"),
            ("https://u@x.example/", "https://x.example"),
            ("\\\\y.example\\a", "https://y.example"),
            ("https://[", "an address that is no URL"),
        ] {
            assert_eq!(service.follow(away), Err(Elsewhere(origin.into())), "{away}");
        }
    }
}
