// /explain: what would become of a request. The question was read, and put to a worker, when the figures were collected.
#include "admin/explain_text.h"
#include "admin/pages.h"

#include <jansson.h>

static bool wants_text(struct admin_query *query) {
    return bytes_equal(admin_parameter(query, BYTES("format")), BYTES("text"));
}

void page_explain(struct admin_query *query) {
    const struct admin_explanation *explanation = &query->explanation;
    json_t *value = explanation->value;
    if (explanation->question == NULL) {
        admin_reply_error(query, 400, "%.*s", BYTES_FORMAT(explanation->error));
    } else if (value == NULL) {
        admin_reply_error(query, 503, "no worker has documents to decide by");
    } else if (json_object_get(value, "error") != NULL) {
        admin_reply(query, 400, json_incref(value));
    } else if (wants_text(query)) {
        struct buffer text;
        admin_text_init(query, &text);
        explain_text_append(&text, value);
        admin_reply_text(query, 200, BYTES("text/plain; charset=utf-8"), &text);
    } else {
        admin_reply(query, 200, json_incref(value));
    }
}
