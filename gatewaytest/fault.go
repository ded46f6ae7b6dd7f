package gatewaytest

import (
	"slices"
	"time"
)

// Op names an interface of the gateway, or the notifications of one kind.
type Op string

// The interfaces and kinds of notification that a [Fault] can be aimed at.
const (
	OpSignUp      Op = "paymethod/bind"
	OpSignUpQuery Op = "paymethod/query"
	OpUnbind      Op = "paymethod/unbind"
	OpPay         Op = "payment/unifiedPay"
	OpPayQuery    Op = "payment/query"
	OpRefund      Op = "payment/refund"
	OpRefundQuery Op = "refund/query"
	OpPrepare     Op = "authorization/prepare"
	OpApplyToken  Op = "authorization/applyToken"
	OpCancelToken Op = "authorization/cancelToken"
	OpList        Op = "authorization/list"

	OpNotifySignUp  Op = "notify/sign-up"
	OpNotifyUnbind  Op = "notify/unbind"
	OpNotifyPayment Op = "notify/payment"
	OpNotifyRefund  Op = "notify/refund"
)

// FaultKind is a way to go wrong.
type FaultKind int

// Faults of API calls. "Before" means that the call is not executed, "After"
// that it is and only the answer is lost; all others execute it.
const (
	// TimeoutBefore and TimeoutAfter hang until the client gives up or the
	// gateway closes.
	TimeoutBefore FaultKind = iota + 1
	TimeoutAfter
	// Status500Before and Status500After answer HTTP 500 with a text body.
	Status500Before
	Status500After
	// ResetBefore and ResetAfter close the connection without an answer.
	ResetBefore
	ResetAfter
	// Truncated breaks the connection in the middle of the answer.
	Truncated
	// Tampered changes bizContent after signing.
	Tampered
	// Unsigned leaves out sign and signType.
	Unsigned
	// WrongSalt signs the answer with a salt that is not the account's.
	WrongSalt
	// HTMLAnswer answers HTTP 200 with a page, as a proxy might.
	HTMLAnswer
	// Decline answers with [Fault.Code]. At [OpPay] and [OpRefund] a FAILED
	// attempt is recorded; elsewhere nothing happens.
	Decline
)

// Faults of notifications.
const (
	// DropAttempt loses one attempt, so that the retry schedule goes on.
	DropAttempt FaultKind = iota + 101
	// DropAll never delivers the notification. [Gateway.Redeliver] still does.
	DropAll
	// Duplicate delivers twice in a row.
	Duplicate
	// Delay puts the first attempt off by [Fault.Delay].
	Delay
	// TamperNotification changes the token, or else adds a member, in bizContent
	// after signing, for one attempt.
	TamperNotification
	// UnsignedNotification leaves out sign and signType, for one attempt.
	UnsignedNotification
)

// Fault is something that goes wrong on purpose.
type Fault struct {
	// Op is where. Empty means wherever Kind can happen; a fault whose Kind
	// cannot happen at its Op never fires.
	Op Op
	// Kind is what. It has no default.
	Kind FaultKind
	// Times is how often. 0 means once, a negative number means always.
	Times int
	// Code is the result code of [Decline]. The default is "301002" at [OpPay],
	// "303000" at [OpRefund] and "500000" elsewhere.
	Code string
	// Delay is how long [Delay] waits, unscaled. 0 means 5 s.
	Delay time.Duration
}

func apiKinds() []FaultKind {
	return []FaultKind{
		TimeoutBefore, TimeoutAfter, Status500Before, Status500After, ResetBefore,
		ResetAfter, Truncated, Tampered, Unsigned, WrongSalt, HTMLAnswer, Decline,
	}
}

func firstKinds() []FaultKind { return []FaultKind{DropAll, Delay} }

func attemptKinds() []FaultKind {
	return []FaultKind{DropAttempt, Duplicate, TamperNotification, UnsignedNotification}
}

// Inject adds a fault. Faults that fit the same call fire in the order in which
// they were injected, one per call.
func (g *Gateway) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = append(g.faults, &f)
}

// ClearFaults forgets every injected fault. [Config.Rates] stays.
func (g *Gateway) ClearFaults() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = nil
}

// takeFault uses up the fault that hits this call, if any. The caller holds mu.
func (g *Gateway) takeFault(op Op, kinds []FaultKind) Fault {
	for i, f := range g.faults {
		if (f.Op != "" && f.Op != op) || !slices.Contains(kinds, f.Kind) {
			continue
		}
		fired := *f
		if f.Times > 0 {
			f.Times--
		}
		if f.Times == 0 {
			g.faults = slices.Delete(g.faults, i, i+1)
		}
		return fired
	}
	for _, kind := range kinds {
		if rate := g.cfg.Rates[kind]; rate > 0 && g.random.Float64() < rate {
			return Fault{Kind: kind}
		}
	}
	return Fault{}
}
