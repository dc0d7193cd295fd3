// Bytes that others chose, made safe inside the quotes of a JSON string or of a Prometheus label: what comes out is always valid UTF-8, ends no
// string early and has no control character, whatever went in. Used by the access log and the exposition of metrics. And made valid UTF-8 alone, for
// texts of protobuf.
#ifndef TELEMETRY_TEXT_ESCAPE_H
#define TELEMETRY_TEXT_ESCAPE_H

#include "base/bytes.h"

enum text_escape_mode {
    TEXT_ESCAPE_JSON,  // RFC 8259 section 7; control characters (C1 and DEL too) as \u00XX
    TEXT_ESCAPE_LABEL, // `\`, `"` and line feed with a backslash; the format has no escape for other controls: U+FFFD
};

// What a value that did not fit ends with.
#define TEXT_ESCAPE_CUT "..."
#define TEXT_ESCAPE_ROOM_MIN 3

// Writes `text` to [out, end), which has at least TEXT_ESCAPE_ROOM_MIN bytes; returns the end of what was written. No quotes, no NUL. A byte that is not part
// of valid UTF-8 becomes U+FFFD. What does not fit is cut between characters and marked by TEXT_ESCAPE_CUT.
char *text_escape(char *out, char *end, struct bytes text, enum text_escape_mode mode);

// How many bytes of `text` stand in what text_escape makes of it in `room` bytes: all, or those in front of the mark.
size_t text_escape_shown(struct bytes text, size_t room, enum text_escape_mode mode);

// Writes `text` to `out`, which has `room` bytes: as it is, but that a byte which is not part of valid UTF-8 becomes U+FFFD. What does not fit is cut between characters.
// Returns how much was written; *taken: for how much of `text` that stands.
size_t text_to_utf8(char *out, size_t room, struct bytes text, size_t *taken);

// The same with what TEXT_ESCAPE_LABEL replaces: what comes out is told apart by a page of metrics exactly where its bytes differ.
size_t text_to_label(char *out, size_t room, struct bytes text);

#endif
