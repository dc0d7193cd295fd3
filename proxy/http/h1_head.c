// From the spans of a complete section to a head: what RFC 9112 and 9110 ask of it and llhttp does not check, what belongs to the connection
// acted upon and taken out. What is in doubt is refused, never repaired. Called by h1_codec.c once a section is complete.
#include "http/h1_private.h"

#include "base/check.h"
#include "base/pool.h"
#include "http/canonical.h"
#include "http/headers.h"

// Room in a list for what an intermediary adds to a head.
#define FIELDS_MORE 6

// What the fields of a head say that concerns more than one of them, or this connection. Fields that say it to us alone are taken out as they are read.
struct notes {
    struct field *host;
    struct field *content_length;
    struct field *transfer_encoding;
    struct field *expect;
    struct bytes upgrade;
    uint32_t hosts;
    uint32_t lengths;
    uint32_t codings;
    uint32_t keep_alive_s;
    bool names_others; // Connection names fields that we know nothing of
    bool close;        // Connection: close
    bool keep_alive;   // Connection: keep-alive
    bool upgrading;    // Connection: upgrade
    bool trailers;     // TE: trailers
};

static struct bytes span_text(const char *text, struct h1_span span) {
    return bytes_from(text + span.at, span.len);
}

static bool is_option(struct bytes option, struct bytes name) {
    return option.len == name.len && bytes_equal_nocase(option, name);
}

// False: another field is named.
static bool note_option(struct notes *notes, struct bytes option) {
    if (is_option(option, BYTES("keep-alive")))
        notes->keep_alive = true;
    else if (is_option(option, BYTES("close")))
        notes->close = true;
    else if (is_option(option, BYTES("upgrade")))
        notes->upgrading = true;
    else
        return is_option(option, BYTES("te"));
    return true;
}

static void note_connection(struct notes *notes, struct bytes list) {
    struct bytes option;
    while (bytes_next(&list, ',', &option))
        if (!note_option(notes, option))
            notes->names_others = true;
}

// Keep-Alive: timeout=5, max=100
static void note_keep_alive(struct notes *notes, struct bytes list) {
    static const struct bytes name = {"timeout=", 8};
    struct bytes parameter;
    while (bytes_next(&list, ',', &parameter)) {
        uint64_t seconds;
        if (parameter.len <= name.len || !bytes_equal_nocase(bytes_from(parameter.at, name.len), name))
            continue;
        if (bytes_to_u64(bytes_from(parameter.at + name.len, parameter.len - name.len), UINT32_MAX, &seconds))
            notes->keep_alive_s = (uint32_t)seconds;
    }
}

// RFC 9110 section 10.1.4: "trailers" is the one member that is no transfer coding.
static void note_te(struct notes *notes, struct bytes list) {
    struct bytes coding;
    while (bytes_next(&list, ',', &coding))
        notes->trailers = notes->trailers || is_option(coding, BYTES("trailers"));
}

static void note_field(struct notes *notes, struct fields *fields, struct field *field) {
    switch (field->id) {
    case FIELD_HOST:
        notes->host = field;
        notes->hosts++;
        return;
    case FIELD_CONTENT_LENGTH:
        notes->content_length = field;
        notes->lengths++;
        return;
    case FIELD_TRANSFER_ENCODING:
        notes->transfer_encoding = field;
        notes->codings++;
        return;
    case FIELD_EXPECT:
        if (notes->expect == NULL)
            notes->expect = field;
        return;
    case FIELD_CONNECTION:
        note_connection(notes, field->value);
        if (notes->names_others)
            return; // for fields_remove_hop_by_hop
        break;
    case FIELD_UPGRADE:
        if (notes->upgrade.len == 0)
            notes->upgrade = field->value;
        break;
    case FIELD_KEEP_ALIVE:
        note_keep_alive(notes, field->value);
        break;
    case FIELD_TE:
        note_te(notes, field->value);
        break;
    case FIELD_PROXY_CONNECTION:
        break;
    default:
        return;
    }
    fields_remove_field(fields, field);
}

// llhttp leaves white space behind a value in some cases.
static struct bytes value_text(const char *text, struct h1_span span) {
    struct bytes value = span_text(text, span);
    bool blank_behind = value.len > 0 && (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t');
    return blank_behind ? bytes_trim(value) : value;
}

static void read_fields(const struct h1_section *section, const char *text, struct fields *fields, struct notes *notes) {
    fields_reserve(fields, section->count + FIELDS_MORE);
    for (uint32_t i = 0; i < section->count; i++) {
        const struct h1_line *line = &section->lines[i];
        struct bytes name = span_text(text, line->name);
        struct field *field = fields_add_reserved(fields, name, field_id_of(name), value_text(text, line->value));
        if (field->id != FIELD_OTHER)
            note_field(notes, fields, field);
    }
}

// How the fields say that a body is framed, by RFC 9112 section 6.3.
enum framing {
    FRAMED_BY_LENGTH, // or no length is stated: head->content_length is then -1
    FRAMED_BY_CHUNKS,
    FRAMED_UNKNOWN, // a transfer coding other than chunked alone
    FRAMED_WRONGLY
};

static enum framing read_framing(struct head *head, const struct notes *notes) {
    // llhttp has refused both together already, and a second Content-Length even where it equals the first.
    if (notes->codings > 0) {
        if (notes->lengths > 0 || head->version != HTTP_1_1)
            return FRAMED_WRONGLY;
        return notes->codings == 1 && is_option(notes->transfer_encoding->value, BYTES("chunked")) ? FRAMED_BY_CHUNKS : FRAMED_UNKNOWN;
    }
    if (notes->lengths == 0)
        return FRAMED_BY_LENGTH;
    uint64_t value;
    if (notes->lengths > 1 || !bytes_to_u64(notes->content_length->value, INT64_MAX, &value))
        return FRAMED_WRONGLY;
    head->content_length = (int64_t)value;
    return FRAMED_BY_LENGTH;
}

// What else belongs to the connection, once the framing is known.
static bool remove_hop_by_hop(struct fields *fields, const struct notes *notes) {
    if (notes->names_others)
        return fields_remove_hop_by_hop(fields);
    if (notes->codings > 0)
        fields_remove(fields, FIELD_TRANSFER_ENCODING);
    return true;
}

static enum error check_version(const struct h1_codec *h1, struct head *head) {
    if (h1->parser.http_major != 1 || h1->parser.http_minor > 1)
        return h1->codec.role == CODEC_SERVER ? ERROR_VERSION_UNSUPPORTED : ERROR_RESPONSE_MALFORMED;
    head->version = h1->parser.http_minor == 0 ? HTTP_1_0 : HTTP_1_1;
    return OK;
}

static void read_method(const struct h1_codec *h1, struct codec_stream *stream) {
    const char *name = llhttp_method_name((llhttp_method_t)h1->parser.method);
    stream->head.method_text = bytes_from_text(name);
    stream->head.method = method_from_text(stream->head.method_text);
    stream->method = stream->head.method;
}

static bool is_target_text(struct bytes target) {
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.at[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return false;
    }
    return target.len > 0;
}

static bool take_scheme(struct bytes *target, struct bytes scheme) {
    if (target->len < scheme.len || !bytes_equal_nocase(bytes_from(target->at, scheme.len), scheme))
        return false;
    target->at += scheme.len;
    target->len -= scheme.len;
    return true;
}

// http://authority/path (RFC 9112 section 3.2.2): becomes origin-form, and its authority is the one that counts.
static enum error read_absolute(struct head *head, struct bytes target) {
    if (take_scheme(&target, BYTES("http://")))
        head->scheme = BYTES("http");
    else if (take_scheme(&target, BYTES("https://")))
        head->scheme = BYTES("https");
    else
        return ERROR_BAD_REQUEST;
    size_t end = 0;
    while (end < target.len && target.at[end] != '/' && target.at[end] != '?')
        end++;
    if (end == 0)
        return ERROR_BAD_REQUEST; // nor may it fall back on Host
    head->authority = bytes_from(target.at, end);
    struct bytes path = bytes_from(target.at + end, target.len - end);
    if (path.len == 0)
        head->path = head->method == METHOD_OPTIONS ? BYTES("*") : BYTES("/");
    else if (path.at[0] == '/')
        head->path = path;
    else
        head->path = pool_format(head->fields.pool, "/%.*s", BYTES_FORMAT(path));
    return OK;
}

static enum error read_target(struct head *head, struct bytes target) {
    if (!is_target_text(target))
        return ERROR_BAD_REQUEST;
    if (target.at[0] == '/') {
        head->path = target;
        return OK;
    }
    if (target.at[0] != '*')
        return read_absolute(head, target);
    if (target.len != 1 || head->method != METHOD_OPTIONS)
        return ERROR_BAD_REQUEST;
    head->path = target;
    return OK;
}

// RFC 9112 section 3.2: exactly one Host on 1.1, valid even where the target's authority overrides it.
static enum error read_host(struct head *head, const struct notes *notes) {
    if (notes->hosts > 1 || (notes->hosts == 0 && head->version == HTTP_1_1))
        return ERROR_BAD_REQUEST;
    if (head->authority.len > 0 && !authority_is_valid(head->authority))
        return ERROR_BAD_REQUEST;
    if (notes->hosts == 0)
        return OK;
    if (!authority_is_valid(notes->host->value))
        return ERROR_BAD_REQUEST;
    if (head->authority.len == 0)
        head->authority = notes->host->value;
    else
        fields_set_known(&head->fields, FIELD_HOST, head->authority);
    return OK;
}

// RFC 9110 section 10.1.1. Of no use where no body comes.
static enum error read_expect(struct head *head, const struct notes *notes, bool end) {
    if (notes->expect == NULL)
        return OK;
    if (head->version == HTTP_1_1) {
        for (const struct field *field = notes->expect; field != NULL; field = fields_find_next(&head->fields, field))
            if (!is_option(field->value, BYTES("100-continue")))
                return ERROR_EXPECTATION;
        head->expect_continue = !end;
    }
    fields_remove(&head->fields, FIELD_EXPECT);
    return OK;
}

// A coding that we do not know is answered 501; but the last must be chunked, else the end of the body is in doubt (RFC 9112 section 6.3).
// llhttp refuses that only after the head.
static enum error unknown_coding(const struct fields *fields) {
    struct bytes last = BYTES("");
    for (const struct field *field = fields_find(fields, FIELD_TRANSFER_ENCODING); field != NULL; field = fields_find_next(fields, field)) {
        struct bytes list = field->value;
        while (bytes_next(&list, ',', &last))
            ;
    }
    return is_option(last, BYTES("chunked")) ? ERROR_METHOD_UNKNOWN : ERROR_FRAMING_INVALID;
}

static enum error request_framing(struct head *head, const struct notes *notes, bool *end) {
    switch (read_framing(head, notes)) {
    case FRAMED_BY_LENGTH:
        *end = head->content_length <= 0;
        return OK;
    case FRAMED_BY_CHUNKS:
        *end = false;
        return OK;
    case FRAMED_UNKNOWN:
        return unknown_coding(&head->fields);
    case FRAMED_WRONGLY:
        break;
    }
    return ERROR_FRAMING_INVALID;
}

static bool is_supported(enum http_method method, int token) {
    // CONNECT and TRACE are refused by default; PRI is the preface of HTTP/2, which is no request.
    return method != METHOD_CONNECT && method != METHOD_TRACE && token != HTTP_PRI;
}

static uint32_t count_named(const struct fields *fields, struct bytes name) {
    uint32_t count = 0;
    FIELDS_EACH(fields, field) {
        count += field->id == FIELD_OTHER && is_option(field->name, name);
    }
    return count;
}

// RFC 6455 section 4.1. A list of protocols in Upgrade is an offer: one of them may be taken.
static bool asks_for_websocket(const struct head *head, const struct notes *notes) {
    struct bytes list = notes->upgrade;
    struct bytes option;
    bool named = false;
    while (bytes_next(&list, ',', &option))
        named = named || is_option(option, PROTOCOL_WEBSOCKET);
    return named && head->version == HTTP_1_1 && head->method == METHOD_GET && count_named(&head->fields, BYTES("sec-websocket-key")) == 1 &&
           count_named(&head->fields, BYTES("sec-websocket-version")) == 1;
}

// A Content-Length of 0 has no place before a tunnel.
static void ask_for_websocket(struct head *head) {
    head->protocol = PROTOCOL_WEBSOCKET;
    head->content_length = -1;
    fields_remove(&head->fields, FIELD_CONTENT_LENGTH);
}

enum error h1_request_head(struct h1_codec *h1, bool *end) {
    struct codec_stream *stream = h1->stream;
    struct head *head = &stream->head;
    struct notes notes = {0};
    const char *text = h1_section_copy(&h1->section, stream->pool);
    read_method(h1, stream);
    enum error error = check_version(h1, head);
    if (error != OK)
        return error;
    read_fields(&h1->section, text, &head->fields, &notes);
    h1->speaks_1_0 = head->version == HTTP_1_0;
    if (notes.close || (h1->speaks_1_0 && !notes.keep_alive))
        h1->closing = true;
    if (!is_supported(head->method, h1->parser.method))
        return ERROR_METHOD_UNKNOWN;
    head->scheme = h1->codec.scheme;
    error = read_target(head, span_text(text, h1->section.start));
    if (error == OK)
        error = read_host(head, &notes);
    if (error != OK)
        return error;
    error = request_framing(head, &notes, end);
    if (error != OK)
        return error;
    head->te_trailers = notes.trailers && !h1->speaks_1_0;
    if (notes.upgrading && *end && asks_for_websocket(head, &notes))
        ask_for_websocket(head);
    error = read_expect(head, &notes, *end);
    if (error == OK && !remove_hop_by_hop(&head->fields, &notes))
        return ERROR_BAD_REQUEST;
    return error;
}

void h1_request_refused(struct h1_codec *h1) {
    struct head *head = &h1->stream->head;
    struct notes notes = {0};
    if (!h1->section.began)
        return; // not even its method is known to be whole
    const char *text = h1_section_copy(&h1->section, head->fields.pool);
    head->method_text = bytes_from_text(llhttp_method_name((llhttp_method_t)h1->parser.method));
    (void)check_version(h1, head);
    if (head->fields.count == 0)
        read_fields(&h1->section, text, &head->fields, &notes);
    const struct field *host = fields_find(&head->fields, FIELD_HOST);
    if (head->authority.len == 0 && host != NULL)
        head->authority = host->value;
    if (head->path.len == 0)
        head->path = span_text(text, h1->section.start);
}

static bool has_no_body(const struct codec_stream *stream) {
    uint16_t status = stream->head.status;
    return status < 200 || status == 204 || status == 304 || stream->method == METHOD_HEAD;
}

// The old "identity" says no more than no field at all.
static bool is_identity(const struct notes *notes) {
    return is_option(notes->transfer_encoding->value, BYTES("identity"));
}

static enum error response_framing(struct h1_codec *h1, const struct notes *notes, bool *end) {
    struct codec_stream *stream = h1->stream;
    struct head *head = &stream->head;
    enum framing framing = read_framing(head, notes);
    if (framing == FRAMED_WRONGLY || (framing == FRAMED_UNKNOWN && !is_identity(notes)))
        return ERROR_RESPONSE_MALFORMED;
    *end = (has_no_body(stream) && head->status != 101) || (framing == FRAMED_BY_LENGTH && head->content_length == 0);
    h1->until_close = !*end && head->status != 101 && framing != FRAMED_BY_CHUNKS && head->content_length < 0;
    // There is nothing to describe: a length here must not be passed on (RFC 9110 section 8.6).
    if (head->status < 200 || head->status == 204) {
        head->content_length = -1;
        fields_remove(&head->fields, FIELD_CONTENT_LENGTH);
    }
    return OK;
}

enum error h1_response_head(struct h1_codec *h1, bool *end) {
    struct codec_stream *stream = h1->stream;
    struct head *head = &stream->head;
    struct notes notes = {0};
    if (head->status != 0)
        head_init(head, stream->pool); // a 1xx was there
    enum error error = check_version(h1, head);
    if (error != OK)
        return error;
    if (h1->parser.status_code < 100 || h1->parser.status_code > 599 || (h1->parser.status_code == 101 && stream->tunnel != TUNNEL_ASKED))
        return ERROR_RESPONSE_MALFORMED;
    const char *text = h1_section_copy(&h1->section, stream->pool);
    head->status = h1->parser.status_code;
    head->reason = bytes_trim(span_text(text, h1->section.start));
    if (!is_field_value(head->reason))
        return ERROR_RESPONSE_MALFORMED; // llhttp lets control characters pass there
    read_fields(&h1->section, text, &head->fields, &notes);
    error = response_framing(h1, &notes, end);
    if (error != OK)
        return error;
    if (!remove_hop_by_hop(&head->fields, &notes))
        return ERROR_RESPONSE_MALFORMED;
    if (head->status == 101 && !(notes.upgrading && is_option(notes.upgrade, PROTOCOL_WEBSOCKET)))
        return ERROR_UPGRADE_FAILED; // to something else
    if (head->status < 200)
        return OK;
    if (notes.keep_alive_s > 0)
        h1->codec.keep_alive_s = notes.keep_alive_s;
    if (notes.close || h1->until_close || (head->version == HTTP_1_0 && !notes.keep_alive))
        h1->codec.refuses_new = true;
    return OK;
}

// Connection speaks of trailers too. Its fields were taken out of the head, but stand in the list.
static void remove_named_trailers(struct fields *trailers, const struct fields *fields) {
    for (uint32_t i = 0; i < fields->count; i++) {
        struct bytes list = fields->items[i].value;
        struct bytes option;
        while (fields->items[i].id == FIELD_CONNECTION && bytes_next(&list, ',', &option))
            fields_remove_name(trailers, option);
    }
}

void h1_trailers(struct h1_codec *h1) {
    struct fields *trailers = &h1->stream->trailers;
    const struct h1_section *section = &h1->section;
    fields_init(trailers, h1->stream->pool);
    if (section->count == 0)
        return;
    const char *text = h1_section_copy(section, h1->stream->pool);
    fields_reserve(trailers, section->count + 1);
    for (uint32_t i = 0; i < section->count; i++) {
        struct bytes name = span_text(text, section->lines[i].name);
        if (field_may_trail(field_id_of(name)))
            fields_add(trailers, name, value_text(text, section->lines[i].value));
    }
    remove_named_trailers(trailers, &h1->stream->head.fields);
}
