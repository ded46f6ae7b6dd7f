package diagnose

// cause says what an id means. sender marks what only the signing program can
// have done; the others happened on the way or stand in the configuration.
type cause struct {
	text, remedy string
}

// causes are stable ids: scripts may rely on them.
func causes() map[string]cause {
	const (
		rawBody   = "Hand the received bytes to the library before anything else reads or rewrites them."
		rawLog    = "The log, not the gateway, did this: record the body as base64 or with escaping switched off. If the server saw it like this too, look for a proxy that rewrites bodies."
		signCode  = "Change the signing program: digest(salt + name=value&name=value), names ascending, values raw, upper-case hex."
		saltSetup = "Correct the configured salt: exactly the characters that the portal shows, without quotes, blanks or line ends."
	)
	return map[string]cause{
		// The body.
		"body_empty":           {"The body is empty.", "Something read the body before: a middleware, a logger, a framework's form parser. " + rawBody},
		"html_page":            {"The body is an HTML page, not a message.", "A proxy, firewall or error page answered in the other side's place."},
		"not_json":             {"The body is not JSON.", rawBody},
		"body_truncated":       {"The body ends before the JSON object does.", "Look for a cap on bodies or log lines, and for a wrong Content-Length."},
		"bom":                  {"A byte order mark stands before the object.", "Whoever saved or sent the body must write UTF-8 without a byte order mark."},
		"utf16":                {"The body is UTF-16, not UTF-8.", "Send and store the body as UTF-8."},
		"gzip":                 {"The body is compressed.", "Decompress by Content-Encoding before verifying, or have the proxy do it."},
		"base64_body":          {"The body is base64.", "Decode it first. AWS Lambda does this and says isBase64Encoded."},
		"log_escaped":          {"The body has the escapes of a web server's log.", rawLog},
		"double_quoted":        {"The body is a JSON string with the JSON object inside: it was encoded twice.", "Send the object itself; do not encode what is JSON already."},
		"array_wrapper":        {"The object stands in an array.", "Send the object alone."},
		"wrapped_in_object":    {"The message stands inside another object.", "Take the inner message out before verifying."},
		"form_encoded":         {"The body is a form, not JSON.", "Send JSON with Content-Type: application/json. " + rawBody},
		"body_url_encoded":     {"The whole body is URL-encoded.", "Send JSON as it is, with Content-Type: application/json."},
		"surrounded_by_text":   {"There is other text around the object.", "Cut the message out of the log line or dump."},
		"charset_not_utf8":     {"The bytes are not UTF-8.", "Send and store UTF-8; do not convert bodies between character sets."},
		"charset_lossy":        {"Characters were lost: replacement characters stand in the message.", "What was lost cannot be computed back. Record the received bytes, not text."},
		"line_breaks_inserted": {"Line breaks were put into the message.", "Look for something that wraps lines: a mail, a terminal, an editor."},
		// The members.
		"sign_missing":              {"There is no sign.", "Never act on it. If a proxy takes members away, stop it. A legacy notification has none: see Config.QueryUnsigned."},
		"sign_renamed":              {"The member sign has another name.", "Its name is sign, in lower case."},
		"sign_malformed":            {"The sign is not the hexadecimal digest that it must be.", signCode},
		"sign_truncated":            {"The sign is cut.", "Look for a column or a log field that is too short: 64 characters for SHA256, 32 for MD5."},
		"sign_with_more":            {"The sign has more characters than the digest.", "Send the hexadecimal digest alone."},
		"sign_changed":              {"The sign itself was changed; the rest is as signed.", "Look for whatever rewrites it, such as a redaction filter or a copying mistake."},
		"sign_whitespace":           {"There is white space around the sign.", "Send the hexadecimal digest alone."},
		"sign_prefixed":             {"The sign has a prefix.", "Send the hexadecimal digest alone."},
		"sign_separated":            {"The sign's digits are separated.", "Send the hexadecimal digest alone."},
		"sign_base64":               {"The sign is base64.", "Write the digest as upper-case hexadecimal."},
		"sign_was_signed":           {"The sign member itself was part of what was signed.", signCode},
		"duplicate_member":          {"A member stands there twice.", "Look for a proxy that adds members; a message with duplicate names is always refused."},
		"member_added":              {"A member was added after signing.", "Find what adds it, or sign it too: every top-level member but sign counts."},
		"member_missing":            {"A member that was signed is not there.", "Find what drops it. Verify over everything received: code and description count in answers and notifications, version in requests."},
		"member_changed":            {"A member was changed after signing.", "Find what replaces it."},
		"case_changed":              {"Letter case was changed after signing.", "Find what changes it. Names and values are signed exactly as they stand."},
		"newline_added":             {"A line end was added to a value.", "Sign and send the same string: trim what an encoder or echo adds before signing, or not at all."},
		"whitespace_added":          {"White space was added around a value.", "Sign and send the same string."},
		"value_trimmed":             {"White space at the end of a value was trimmed after signing.", "Do not trim what was received; trim before signing."},
		"line_ends_changed":         {"Line ends were converted.", rawBody},
		"url_encoded":               {"A value was URL-encoded after signing.", "Values are sent and signed raw."},
		"url_decoded":               {"A value was URL-decoded after signing.", "Verify over what was received, not over decoded values."},
		"signed_url_encoded":        {"The signer URL-encoded the values before signing.", signCode},
		"plus_for_blank":            {"Blanks and plus signs were exchanged, as form decoding does.", "Do not pass JSON through form or URL decoding."},
		"html_entities":             {"HTML entities were put in or taken out, as a web application firewall or a template does.", "Exempt the notification path from the filter."},
		"angle_brackets_stripped":   {`"<" and ">" were taken out, as an XSS filter does.`, "Exempt the notification path from the filter, and send neither: the gateway refuses them."},
		"backslashes_added":         {"A layer of backslashes was added.", "Look for an escaping function that runs once too often."},
		"mojibake":                  {"UTF-8 was read as another character set and encoded again.", "Read and write the message as UTF-8 everywhere."},
		"unicode_normalized":        {"Characters were composed or decomposed (Unicode normal forms).", rawBody},
		"values_quoted":             {"The signer signed the JSON text of values, with quotes or escapes, not the values.", signCode},
		"empty_member_signed":       {"The signer kept an empty member as name=.", "Leave empty members out of the message. The library accepts this form too."},
		"null_as_text":              {"The signer signed a member that is null.", "Leave null members out of the message and of the text."},
		"order_not_sorted":          {"The signer did not sort the names in ascending byte order.", signCode},
		"joined_differently":        {"The signer joined the members in another way than name=value&name=value.", signCode},
		"signed_escaped":            {"The signer changed the text before signing it.", signCode},
		"signed_in_other_charset":   {"The signer computed the digest over another character set than UTF-8.", `Sign UTF-8 bytes, for example text.getBytes("UTF-8").`},
		"one_character_changed":     {"One character is not the one that was signed.", "Look at that place: a copying mistake, an editor, a filter. If nothing explains it, somebody changed the message."},
		"text_inserted":             {"A piece of text was put in after signing.", "Find what adds it. If nothing explains it, somebody changed the message."},
		"bizcontent_reencoded":      {"bizContent was read and written again after signing.", "bizContent is a string: pass it on exactly as received, and sign and send the very same string."},
		"bizcontent_object":         {"bizContent was turned from a string into an object and written in another way than it was signed.", "Keep bizContent a string. " + rawBody},
		"bizcontent_quoted":         {"bizContent was encoded twice: it is a JSON string of a JSON string.", "Encode bizContent once."},
		"bizcontent_as_object_text": {"The signer signed the object's name, not its JSON: bizContent was not a string yet.", "Encode bizContent to a JSON string first; sign and send that string."},
		"bizcontent_member_added":   {"A member was added inside bizContent after signing.", "Find what adds it."},
		"bizcontent_truncated":      {"bizContent ends before its JSON object does.", "Look for a cap on the length of fields or log lines."},
		"bizcontent_broken":         {"bizContent is not a JSON object.", rawBody},
		"bizcontent_missing":        {"There is no bizContent.", "A notification always has one. A refusal of the gateway may come without; it is no notification."},
		"number_reformatted":        {"A number was written in another form.", "Do not read and write bizContent; it is a string."},
		"number_precision_lost":     {"A large number lost digits, as JavaScript's numbers do.", "Do not read and write bizContent; it is a string."},
		// The salt and the digest.
		"salt_blanks":             {"White space around the salt.", saltSetup},
		"salt_quoted":             {"Quotes around the salt.", saltSetup},
		"salt_case":               {"The salt has another letter case.", saltSetup},
		"salt_decoded":            {"The salt was decoded before use.", "Use the salt's characters as they are."},
		"salts_not_split":         {"Several salts were taken for one.", "Separate them by commas in CODEGRANT_SALTS, or by lines in a file."},
		"salt_of_another_account": {"The message was signed with another account's salt.", "Configure the salt of the account in accId."},
		"salt_of_sandbox":         {"The message was signed with a public sandbox salt: it is no message of your account.", "Never configure this salt in production."},
		"salt_of_simulator":       {"The message was signed by the simulator.", "Point the simulator, or the configuration, at the other."},
		"salt_left_out":           {"The message was signed without any salt.", "An empty setting in the signing program, most likely. Never accept it."},
		"salt_appended":           {"The salt stands behind the text.", signCode},
		"salt_as_parameter":       {"The salt was signed as a parameter.", signCode},
		"salt_separated":          {"The salt was separated from the text.", signCode},
		"salt_both_ends":          {"The salt stands at both ends of the text.", signCode},
		"hmac":                    {"The sign is an HMAC with the salt as key.", "It must be the plain digest. " + signCode},
		"digest_twice":            {"The digest was taken twice.", signCode},
		"digest_disagrees":        {"The sign is not of the digest that signType names.", "Let signType name the digest that signs; both are signed."},
		"digest_not_configured":   {"The message is rightly signed with the digest that is not configured.", "Set Account.Digest to it, or the portal's setting to yours."},
		"signtype_spelling":       {"signType is not spelt SHA256 or MD5.", "Write it exactly like this."},
		"wrong_salt":              {"None of the given salts signed this content: another salt did, or the content was changed in a way that was not found.", "Compare the salt with the portal, under key management, for exactly this accId and this environment (sandbox and production differ); was it refreshed? Then record the received bytes and explain those, or give -good with a message that verified."},
		"content_changed":         {"The content was changed after signing.", "The salt is right, as the good message shows. Compare the two below."},
		"wrong_account":           {"The message is for another account.", "Configure this accId with its own salt, or correct the notificationUrl of the other account. See codegrant.Accounts for several."},
		"wrong_client":            {"The message names another clientId.", "Configure Account.ClientID; it is not always accId without its last three digits."},
		"configuration":           {"The library refuses the configured account.", "Correct the configuration."},
		"not_strict":              {"The signature is right, but the library refuses the form of the message.", "Send the form that the documentation has."},
	}
}
