package storetest

// The rules are sentences of codegrant's documentation, word for word; a test
// compares them.
const (
	keepsFields = "A store keeps every field as it is."
	keepsTimes  = "Times are UTC with microseconds."
	noRules     = "A store holds no rules of the product: it is an insert that refuses duplicates, " +
		"an update guarded by the revision, and four look-ups."
	concurrentOrEnded = "Every method may be called concurrently, also from several processes, " +
		"and must do nothing once ctx has ended."

	seesSaved = "What Save has returned nil for, every later call must see, in every process; " +
		"what is saved while a look-up runs, that look-up may miss."
	noLimit = "Texts are valid UTF-8, and a limit of zero or less asks for nothing."

	getFinds   = "Get returns the record with this id, or ErrNotFound."
	saveStores = "Save must store t exactly as given if the revision stored for t.ID is t.Revision-1, " +
		"where an absent record counts as revision 0."
	saveConflicts = "Otherwise it must change nothing and return ErrConflict; the caller reloads and tries again."
	saveIsAtomic  = "The check and the write must be one atomic step, even across processes."

	fingerprintFinds  = "ByFingerprint returns the record with this Fingerprint, or ErrNotFound, as for the empty fingerprint."
	fingerprintNewest = "Of several it returns the one that comes last by CreatedAt and then ID."

	userFinds = "ByUser returns the user's records in that account, the ended ones too, " +
		"by CreatedAt and then ID, oldest first."
	userEmpty = "None is an empty result and not an error."

	unsettledFinds = "Unsettled returns at most limit records whose UnsettledSince is neither zero " +
		"nor later than olderThan, by UnsettledSince and then ID, oldest first."
	unsettledLooks = "It is all that TokenStore.Unsettled looks at."

	listFinds = "List returns at most limit records whose ID comes after afterID in the order of bytes, " +
		`in that order; from the beginning for "".`

	txBelongs = "InTx calls fn with a store, and a context, whose calls all belong to one transaction."
	txCommits = "It commits when fn returns nil and rolls back otherwise, also when fn panics."
	txReads   = "The reads of that store must make sure that what they returned does not change before the commit, " +
		"or Save must notice it and return ErrConflict."
	txErrors = "InTx returns fn's error as it is, and ErrConflict when the transaction lost to another one " +
		"and may be tried again: nothing of it was kept then."
	txOnce = "fn is called at most once."

	paymentsLike = "It holds no rules of the product and is like TokenStore in everything that is not said here."
	paymentFinds = "GetPayment returns the record with this id, or ErrNotFound."
	// Of what it demands, the rest is said by saveConflicts and saveIsAtomic.
	paymentStores = "SavePayment must store p exactly as given if the revision stored for p.ID is p.Revision-1, " +
		"as TokenStore demands of Save."
	paymentsUnsettled = "UnsettledPayments returns at most limit records whose UnsettledSince is neither zero " +
		"nor later than olderThan, by UnsettledSince and then ID, oldest first."
	paymentsLooked = "It is all that PaymentStore.UnsettledPayments looks at."
	paymentsInTx   = "Where it is also a TxStore, the store that InTx hands to its function must be a PaymentStore too."
)
