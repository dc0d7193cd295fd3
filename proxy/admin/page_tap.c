// /tap: requests as they end. The source replies with the lines by itself; here is what is said where it does not.
#include "admin/pages.h"
#include "admin/tap_query.h"

void page_tap(struct admin_query *query) {
    const struct admin_tap *tap = &query->tap;
    struct buffer nothing;
    if (tap->question == NULL) {
        admin_reply_error(query, 400, "%.*s", BYTES_FORMAT(tap->error));
    } else if (tap->error.len > 0) {
        admin_reply_error(query, 503, "%.*s", BYTES_FORMAT(tap->error));
    } else { // HEAD
        admin_text_init(query, &nothing);
        admin_reply_text(query, 200, tap->question->is_text ? TAP_TYPE_TEXT : TAP_TYPE_JSON, &nothing);
    }
}
