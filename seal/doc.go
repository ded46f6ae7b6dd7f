// Package seal keeps tokens sealed at rest: [New] puts AES-256-GCM around any
// [codegrant.TokenStore]. Whoever reads the database, a replica, a backup or a
// log of it can then charge nobody, and a value that was changed, or moved to
// another record, field, user or account, does not open.
//
//	keys, err := seal.ParseKeyring(os.Getenv("CODEGRANT_KEYS")) // "k1:BASE64"
//	store, err := seal.New(sqlStore, keys)
//
// Sealed are Value, Reference and LoginID. Everything else stays as it is, so
// that stores can search: a Fingerprint is the plain SHA-256 of the value,
// which gives nothing away as long as tokens are long and random, and AuthURL
// and AuthState are spent with the sign-up. UserID is authenticated with the
// sealed values: who must rename users reads and saves their records through
// the sealing store, and does not update rows in place. What this package
// cannot notice is a whole row put back as it once was.
//
// # Rotation
//
// Every process must have a key before any process seals with it:
//
//  1. Make a key ("openssl rand -base64 32") and add it last: "k1:…,k2:…".
//  2. When that runs everywhere, put it first: "k2:…,k1:…".
//  3. When that runs everywhere, run [Reseal]; repeat it until it returns no
//     error and has resealed nothing.
//  4. Take the old key out. Keep it where the backups are kept.
//
// Records that are saved between 2 and 3 move to the new key by themselves. A
// key may seal 2^32 values (NIST SP 800-38D, 8.3: random nonces), three for
// each save at most: over a billion saves.
//
// # Sealing a store that has values in the clear
//
// Open it with [AcceptPlaintext], after the last process without sealing has
// stopped, for such a process would take a sealed value for a token. Run
// [Reseal], then leave the option out.
//
// # Key management services
//
// A key is needed once, at start: let the service decrypt the 32 bytes there
// and hand their base64 to [Key]. The bytes then live in this process, as the
// tokens do while they pay.
//
// # Why not Tink
//
// tink-go is the usual answer, and was weighed. Its AEAD is the same AES-GCM,
// but it cannot be had without protobuf: two more modules in the merchant's
// go.sum, and keysets in a binary or JSON form that needs a tool of its own,
// where this package needs one line of configuration. The standard library's
// GCM with random nonces leaves no nonce to get wrong and is the one that FIPS
// 140-3 mode admits. What is lost is Tink's per-value envelope: a service asked
// for each value, with a log of each use and the power to cut a process off. A
// merchant who wants that writes a store around the store, as this one is.
package seal
