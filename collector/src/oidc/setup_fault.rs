//! Why the files that the settings of the provider name cannot be used.

/// The longest secret of a client, in bytes.
pub(super) const SECRET: u64 = 4_096;

/// Why the settings of the provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupFault {
    /// The secret cannot be used.
    #[error(transparent)]
    Secret(SecretFault),
    /// The CA cannot be read.
    #[error("read the provider's CA ({path}, oidc.ca)")]
    ReadCa {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file has no certificate.
    #[error("there is no valid certificate in PEM in the provider's CA ({path}, oidc.ca)")]
    Ca {
        /// The file.
        path: String,
    },
    /// The public address is no address.
    #[error("operators.public_url is no address")]
    Origin,
    /// TLS cannot be set up.
    #[error("set up TLS to the identity provider: {0}; name its CA in oidc.ca if the system has no certificates")]
    Client(String),
}

/// Why the secret of the client cannot be used. The error never has the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretFault {
    /// The file cannot be read.
    #[error("read the client secret ({path}, oidc.client_secret_file)")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is empty or has too much.
    #[error("the client secret is empty or longer than {SECRET} bytes ({path}, oidc.client_secret_file)")]
    Form {
        /// The file.
        path: String,
    },
}
