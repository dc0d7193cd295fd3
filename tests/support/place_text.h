// Text whose bytes tell their place: what was lost, doubled or put in another order on its way is seen.
#ifndef SUPPORT_PLACE_TEXT_H
#define SUPPORT_PLACE_TEXT_H

#include "base/bytes.h"

#include <stdbool.h>

// So much of it, behind the first `from` bytes. Valid until the next call.
struct bytes place_text(size_t from, size_t length);

// Whether it is such a text from its beginning.
bool place_text_is(struct bytes text);

#endif
