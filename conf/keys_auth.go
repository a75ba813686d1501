package conf

var authKeys = append(with([]Key{
	{
		Name: "skipACL", Default: "no", YesNo: true, field: authField(func(a *Auth) any { return &a.SkipACL }),
		Meaning: "yes: no permission is ever checked.",
	},
	{
		Name: "enableEagerACLCheck", Default: "false", field: authField(func(a *Auth) any { return &a.EagerACLCheck }),
		Meaning: "A server of an ensemble refuses create, delete, setData and setACL that its own tree does not permit, or that bring an ACL that is not valid, at once: no transaction is spent on them. What was changed a moment ago elsewhere may not be considered.",
	},
	{
		Name: "DigestAuthenticationProvider.enabled", Default: "true", field: authField(func(a *Auth) any { return &a.DigestEnabled }),
		Meaning: "Register the scheme digest.",
	},
	{
		Name: "DigestAuthenticationProvider.superDigest", Secret: true, field: authField(func(a *Auth) any { return &a.SuperDigest }),
		Meaning: "The digest id that may do everything: super: and the base64 of the hash of super:password.",
	},
	{
		Name: "DigestAuthenticationProvider.digestAlg", Default: "SHA1", Choices: digestAlgorithms, field: authField(func(a *Auth) any { return &a.DigestAlg }),
		Meaning: "Hash of the scheme digest; changing it invalidates existing digest ACLs and superDigest.",
	},
	{
		Name: "enforce.auth.enabled", Default: "false", field: authField(func(a *Auth) any { return &a.EnforceEnabled }),
		Meaning: "Refuse every request of a connection that is authenticated by none of enforce.auth.schemes.",
	},
	{
		Name: "enforce.auth.schemes", field: authField(func(a *Auth) any { return &a.EnforceSchemes }),
		Meaning: "Schemes for enforce.auth.enabled, separated by commas.",
	},
	{
		Name: "sessionRequireClientSASLAuth", Default: "false", Use: Kept, field: authField(func(a *Auth) any { return &a.RequireClientSASL }),
		Meaning: "The same as enforce.auth.enabled with the scheme sasl.",
	},
	{
		Name: "allowSaslFailedClients", Default: "false", Use: Kept, field: authField(func(a *Auth) any { return &a.AllowSASLFailedClients }),
		Meaning: "A connection whose SASL exchange failed stays, unauthenticated.",
	},
	{
		Name:    "authProvider.SUFFIX",
		Meaning: "Java class of a further authentication provider. org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider adds the scheme ensemble; those of ip and digest are there anyway; others get a warning.",
	},
	{
		Name: "X509AuthenticationProvider.superUser", Use: Kept, field: authField(func(a *Auth) any { return &a.X509SuperUser }),
		Meaning: "Certificate subject that may do everything.",
	},
	{
		Name: "superUser", Use: Kept, field: scratch[string],
		Meaning: "SASL id that may do everything.",
	},
	{
		Name: "superUser.SUFFIX", Use: Kept,
		Meaning: "Further such ids.",
	},
	{
		Name: "ensembleAuthName", field: authField(func(a *Auth) any { return &a.EnsembleNames }),
		Meaning: "Names that the scheme ensemble accepts, separated by commas: a client that gives another is cut off, to try the next address. Default: any. Needs the provider in authProvider.",
	},
	{
		Name: "SASLAuthenticationProvider.superPassword", Secret: true, Use: Kept, field: scratch[string],
		Meaning: "Password of the SASL user super.",
	},
	{
		Name: "letAnySaslUserDoX", Use: Kept, field: scratch[string],
		Meaning: "ACL id that every SASL user matches.",
	},
	{
		Name: "IPAuthenticationProvider.usexforwardedfor", Default: "false", field: authField(func(a *Auth) any { return &a.ForwardedFor }),
		Meaning: "The administration server takes a client's address for the scheme ip from the header X-Forwarded-For, if there is one. Only behind a proxy that writes it.",
	},
	{
		Name: "sasl.serverconfig", Default: "Server", Use: Kept, field: scratch[string],
		Meaning: "JAAS section of the server.",
	},
	{
		Name: "kerberos.removeHostFromPrincipal", Default: "false", Use: Kept, field: scratch[bool],
		Meaning: "Drop the host of Kerberos principals.",
	},
	{
		Name: "kerberos.removeRealmFromPrincipal", Default: "false", Use: Kept, field: scratch[bool],
		Meaning: "Drop the realm of Kerberos principals.",
	},
	{
		Name: "kerberos.canonicalizeHostNames", Default: "false", Use: Kept, field: scratch[bool],
		Meaning: "Use canonical host names in Kerberos principals.",
	},
	{
		Name: "security.auth_to_local", Default: "DEFAULT", Use: Kept, field: scratch[string],
		Meaning: "Rules from Kerberos principals to names.",
	},
}, func(k *Key) { k.Source = Property }), Key{
	Name: "java.security.auth.login.config", Source: JVM, Use: Kept, field: scratch[string],
	Meaning: "JAAS file.",
})

// EnsembleProvider is the class of authProvider that adds the scheme ensemble.
const EnsembleProvider = authPackage + "EnsembleAuthenticationProvider"

const authPackage = "org.apache.zookeeper.server.auth."

// servedProviders are the classes that authProvider may name without a warning.
var servedProviders = []string{
	EnsembleProvider, authPackage + "IPAuthenticationProvider", authPackage + "DigestAuthenticationProvider",
}

func authField(f func(*Auth) any) func(*Config) any {
	return func(c *Config) any { return f(&c.Auth) }
}

// digestAlgorithms are the hashes a Java 17 runtime offers that Go's standard
// library has as well, in Java's spelling.
var digestAlgorithms = []string{
	"SHA1", "SHA-1", "SHA", "MD5", "SHA-224", "SHA-256", "SHA-384", "SHA-512", "SHA-512/224", "SHA-512/256",
	"SHA3-224", "SHA3-256", "SHA3-384", "SHA3-512",
}

// tlsKeys lists the stores and switches of both TLS sides: "ssl." for clients
// and "ssl.quorum." between servers.
func tlsKeys() []Key {
	var keys []Key
	for _, side := range []struct{ prefix, of string }{{"ssl.", "client connections"}, {"ssl.quorum.", "connections between servers"}} {
		for _, k := range tlsSideKeys {
			k.Name = side.prefix + k.Name
			k.Meaning += ", " + side.of + "."
			keys = append(keys, k)
		}
	}
	keys = append(
		keys,
		Key{Name: "ssl.authProvider", Default: "x509", Meaning: "Authentication provider of the TLS port.", field: scratch[string]},
		Key{Name: "ssl.sslProvider", Default: "JDK", Meaning: "TLS implementation of Netty.", field: scratch[string]},
		Key{Name: "client.certReload", Default: "false", Meaning: "Load certificates again when their files change.", field: scratch[bool]},
		Key{Name: "fips-mode", Default: "true", Meaning: "Leave host name checks to the JDK.", field: scratch[bool]},
	)
	keys = with(keys, func(k *Key) { k.Source, k.Use = Property, Kept })
	own := []Key{
		{Name: "sslQuorum", Default: "false", Meaning: "TLS between servers.", field: scratch[bool]},
		{Name: "portUnification", Default: "false", Meaning: "The ports between servers accept TLS and plain.", field: scratch[bool]},
		{Name: "sslQuorumReloadCertFiles", Default: "false", Meaning: "Load the certificates between servers again when their files change.", field: scratch[bool]},
	}
	return append(keys, with(own, func(k *Key) { k.Use = Kept })...)
}

var tlsSideKeys = []Key{
	{Name: "keyStore.location", Meaning: "Key store file", field: scratch[string]},
	{Name: "keyStore.password", Secret: true, Meaning: "Its password", field: scratch[string]},
	{Name: "keyStore.passwordPath", Meaning: "File with its password", field: scratch[string]},
	{Name: "keyStore.type", Meaning: "JKS, PEM, PKCS12 or BCFKS; default by file extension", field: scratch[string]},
	{Name: "trustStore.location", Meaning: "Trust store file", field: scratch[string]},
	{Name: "trustStore.password", Secret: true, Meaning: "Its password", field: scratch[string]},
	{Name: "trustStore.passwordPath", Meaning: "File with its password", field: scratch[string]},
	{Name: "trustStore.type", Meaning: "JKS, PEM, PKCS12 or BCFKS; default by file extension", field: scratch[string]},
	{Name: "protocol", Default: "TLSv1.3", Meaning: "TLS version", field: scratch[string]},
	{Name: "enabledProtocols", Meaning: "TLS versions accepted", field: scratch[[]string]},
	{Name: "ciphersuites", Meaning: "Cipher suites accepted", field: scratch[[]string]},
	{Name: "context.supplier.class", Meaning: "Java class that makes the TLS context", field: scratch[string]},
	{Name: "hostnameVerification", Default: "true", Meaning: "Check host names", field: scratch[bool]},
	{Name: "clientHostnameVerification", Meaning: "Check the client's host name too; default only between servers", field: scratch[bool]},
	{Name: "allowReverseDnsLookup", Meaning: "Look a peer's name up for that; default only between servers", field: scratch[bool]},
	{Name: "crl", Default: "false", Meaning: "Check revocation lists", field: scratch[bool]},
	{Name: "ocsp", Default: "false", Meaning: "Check revocation online", field: scratch[bool]},
	{Name: "clientAuth", Default: "need", Choices: []string{"need", "want", "none"}, Meaning: "Ask for a client certificate: need, want or none", field: scratch[string]},
	{Name: "handshakeDetectionTimeoutMillis", Default: "5000", Unit: "ms", Meaning: "Time for the first bytes of a handshake", field: scratch[int]},
}
