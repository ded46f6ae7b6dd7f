// Package otelcodegrant tells OpenTelemetry what a codegrant kit does. It is a
// module of its own, so that only who wants it has OpenTelemetry in go.sum.
//
//	observer, err := otelcodegrant.New(otelcodegrant.Config{})
//	// handle err
//	client, err := codegrant.NewClient(codegrant.ClientConfig{…, Observer: observer})
//	// handle err
//	kit, err := codegrant.New(codegrant.Config{…, Client: client, Observer: observer})
//
// # Spans
//
// One for each [codegrant.Operation], inside of the span of the context:
//
//	codegrant notify        an endpoint: SERVER, or INTERNAL inside of the span of
//	                        other instrumentation in this process
//	codegrant charge        a task or a sweep: INTERNAL
//	codegrant hook OnToken  a hook: INTERNAL
//	POST /v4/payment/query  a call of the gateway: CLIENT, with server.address,
//	                        server.port, url.full, url.template and, when something
//	                        answered, http.response.status_code
//
// All have codegrant.operation.kind, codegrant.operation.name and, where they are
// known, codegrant.account.id, codegrant.wallet, codegrant.outcome and error.type,
// the [codegrant.Code]. The status is Error only for what is the server's or the
// gateway's fault, as the conventions for HTTP servers have it: a forged
// notification, a declined charge or a user without a token is none. Each record of
// the log is an event of its span, named by its code.
//
// A trace continues over HTTP where the request's context has it: put a handler
// such as otelhttp in front of the kit. The gateway is sent no trace, as it is not
// ours; ClientConfig.HTTPClient can change that.
//
// # Metrics
//
//	codegrant.operation.duration  histogram, s         codegrant.operation.kind,
//	                              codegrant.operation.name, codegrant.wallet,
//	                              codegrant.outcome, http.response.status_code, error.type
//	codegrant.events              counter, {event}     codegrant.event.code,
//	                              codegrant.operation.name, codegrant.wallet,
//	                              codegrant.status.from, codegrant.status.to,
//	                              codegrant.ended_by, codegrant.notification.kind,
//	                              codegrant.hook
//	codegrant.sweep.records       counter, {record}    codegrant.sweep.result: settled,
//	                              waiting or failed
//
// Nothing in it names a user, an order or a token. Every attribute of a metric
// comes from a short list; codegrant.account.id is on spans only.
package otelcodegrant
