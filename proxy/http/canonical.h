// The one form of a path and of a host that is matched, authorized and forwarded, so that no two parts of the proxy, and nobody behind it, read
// them differently (policy: Trust). What could be read in two ways is refused, not repaired. Used by the codecs and by whoever matches requests.
#ifndef HTTP_CANONICAL_H
#define HTTP_CANONICAL_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/pool.h"

#include <stdbool.h>

// The canonical form of an origin-form target: dot segments resolved, octets that need no escape decoded, the hexadecimal digits of others in capitals. `%2F` and `//`
// stay as they are, and so does the query. "*" is canonical. A target that is canonical already is returned as it is; else the result lies in the pool.
// ERROR_BAD_REQUEST: a control character, space, `\`, `#` or a byte over 0x7e, %00 or another escaped control, %5C, an escape that is none, `..` above the
// root, a dot segment with something behind it that some servers cut off (`..;x`, `..%2Fx`), no `/` at the beginning.
MUST_CHECK enum error canonical_path(struct bytes target, struct pool *pool, struct bytes *canonical);

// A host as Host and :authority have it: a name, an IPv4 address or an IPv6 address in brackets, with or without a port. Not empty, no user, no zone, no escapes.
bool authority_is_valid(struct bytes authority);

// A valid authority in two: the host (brackets included) and the digits of the port, empty where there is none.
void authority_split(struct bytes authority, struct bytes *host, struct bytes *port);

// The form in which a valid authority is matched: lower-case, without the trailing dot, without the port where it is the scheme's own ("http": 80, "https": 443).
// An authority that has this form already is returned as it is; else the result lies in the pool.
struct bytes canonical_authority(struct bytes authority, struct bytes scheme, struct pool *pool);

#endif
