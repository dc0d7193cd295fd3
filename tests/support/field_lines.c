// Lines of "name: value", whoever wrote them: see field_lines.h.
#include "support/field_lines.h"

#include "http/headers.h"

void field_lines_read(struct fields *fields, struct bytes text) {
    struct bytes line;
    while (bytes_next(&text, '\n', &line)) {
        const size_t colon = bytes_find(line, ':');
        const struct bytes name = bytes_from(line.at, colon);
        if (colon == line.len || !is_token(name))
            continue;
        const struct bytes value = bytes_trim(bytes_from(line.at + colon + 1, line.len - colon - 1));
        if (is_field_value(value))
            fields_add(fields, name, value);
    }
}

void field_lines_read_request(struct head *head, struct pool *pool, struct bytes text) {
    const size_t line = bytes_find(text, '\n');
    head_init(head, pool);
    head->method = METHOD_GET;
    head->method_text = BYTES("GET");
    head->scheme = BYTES("http");
    head->authority = BYTES("app.example");
    head->path = bytes_from(text.at, line);
    if (line < text.len)
        field_lines_read(&head->fields, bytes_from(text.at + line + 1, text.len - line - 1));
}
