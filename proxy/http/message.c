// Heads of messages: beginning one, copying one, and the fixed tables of methods and status phrases. Knows no wire format.
#include "http/message.h"

#include "base/check.h"
#include "http/headers.h"

#include <assert.h>

// A constant initialiser, which BYTES is not.
#define TEXT(literal) \
    { "" literal, sizeof(literal) - 1 }

static const struct bytes method_names[] = {
    [METHOD_OTHER] = {"", 0},       [METHOD_GET] = TEXT("GET"),       [METHOD_HEAD] = TEXT("HEAD"),       [METHOD_POST] = TEXT("POST"),
    [METHOD_PUT] = TEXT("PUT"),     [METHOD_DELETE] = TEXT("DELETE"), [METHOD_CONNECT] = TEXT("CONNECT"), [METHOD_OPTIONS] = TEXT("OPTIONS"),
    [METHOD_TRACE] = TEXT("TRACE"), [METHOD_PATCH] = TEXT("PATCH"),
};
static_assert(sizeof(method_names) / sizeof(method_names[0]) == METHOD_COUNT, "every method has a name");

// The phrases of RFC 9110 section 15 and of the registry's later entries.
static const struct bytes reasons[] = {
    [100] = TEXT("Continue"),
    [101] = TEXT("Switching Protocols"),
    [102] = TEXT("Processing"),
    [103] = TEXT("Early Hints"),
    [200] = TEXT("OK"),
    [201] = TEXT("Created"),
    [202] = TEXT("Accepted"),
    [203] = TEXT("Non-Authoritative Information"),
    [204] = TEXT("No Content"),
    [205] = TEXT("Reset Content"),
    [206] = TEXT("Partial Content"),
    [207] = TEXT("Multi-Status"),
    [208] = TEXT("Already Reported"),
    [226] = TEXT("IM Used"),
    [300] = TEXT("Multiple Choices"),
    [301] = TEXT("Moved Permanently"),
    [302] = TEXT("Found"),
    [303] = TEXT("See Other"),
    [304] = TEXT("Not Modified"),
    [305] = TEXT("Use Proxy"),
    [307] = TEXT("Temporary Redirect"),
    [308] = TEXT("Permanent Redirect"),
    [400] = TEXT("Bad Request"),
    [401] = TEXT("Unauthorized"),
    [402] = TEXT("Payment Required"),
    [403] = TEXT("Forbidden"),
    [404] = TEXT("Not Found"),
    [405] = TEXT("Method Not Allowed"),
    [406] = TEXT("Not Acceptable"),
    [407] = TEXT("Proxy Authentication Required"),
    [408] = TEXT("Request Timeout"),
    [409] = TEXT("Conflict"),
    [410] = TEXT("Gone"),
    [411] = TEXT("Length Required"),
    [412] = TEXT("Precondition Failed"),
    [413] = TEXT("Content Too Large"),
    [414] = TEXT("URI Too Long"),
    [415] = TEXT("Unsupported Media Type"),
    [416] = TEXT("Range Not Satisfiable"),
    [417] = TEXT("Expectation Failed"),
    [421] = TEXT("Misdirected Request"),
    [422] = TEXT("Unprocessable Content"),
    [423] = TEXT("Locked"),
    [424] = TEXT("Failed Dependency"),
    [425] = TEXT("Too Early"),
    [426] = TEXT("Upgrade Required"),
    [428] = TEXT("Precondition Required"),
    [429] = TEXT("Too Many Requests"),
    [431] = TEXT("Request Header Fields Too Large"),
    [451] = TEXT("Unavailable For Legal Reasons"),
    [500] = TEXT("Internal Server Error"),
    [501] = TEXT("Not Implemented"),
    [502] = TEXT("Bad Gateway"),
    [503] = TEXT("Service Unavailable"),
    [504] = TEXT("Gateway Timeout"),
    [505] = TEXT("HTTP Version Not Supported"),
    [506] = TEXT("Variant Also Negotiates"),
    [507] = TEXT("Insufficient Storage"),
    [508] = TEXT("Loop Detected"),
    [510] = TEXT("Not Extended"),
    [511] = TEXT("Network Authentication Required"),
};

void head_init(struct head *head, struct pool *pool) {
    *head = (struct head){.version = HTTP_1_1, .content_length = -1};
    fields_init(&head->fields, pool);
}

void head_copy(struct head *to, const struct head *from, struct pool *pool) {
    CHECK(to != from);
    *to = *from;
    fields_copy(&to->fields, &from->fields, pool);
}

enum http_method method_from_text(struct bytes text) {
    for (enum http_method method = METHOD_GET; method < METHOD_COUNT; method++)
        if (bytes_equal(text, method_names[method]))
            return method;
    return METHOD_OTHER;
}

struct bytes method_text(enum http_method method) {
    CHECK(method < METHOD_COUNT);
    return method_names[method];
}

struct bytes status_reason(uint16_t status) {
    if (status >= sizeof(reasons) / sizeof(reasons[0]) || reasons[status].len == 0)
        return BYTES("");
    return reasons[status];
}

bool head_is_grpc(const struct head *head) {
    static const char type[] = "application/grpc";
    const size_t length = sizeof(type) - 1;
    const struct field *field = fields_find(&head->fields, FIELD_CONTENT_TYPE);
    if (field == NULL || field->value.len < length)
        return false;
    if (!bytes_equal_nocase(bytes_from(field->value.at, length), bytes_from(type, length)))
        return false;
    if (field->value.len == length)
        return true;
    char next = field->value.at[length];
    return next == '+' || next == ';' || next == ' ' || next == '\t';
}
