// See detect.h. Every form is told as soon as the bytes are no beginning of any other.
#include "downstream/detect.h"

#include "http/h2_codec.h"
#include "http/headers.h"

static enum detected detect_tls(struct bytes in, struct client_hello *hello, bool *is_tls) {
    enum client_hello_result result = client_hello_read(in, hello);
    *is_tls = result != CLIENT_HELLO_NONE;
    return result == CLIENT_HELLO_MORE ? DETECTED_MORE : DETECTED_TLS;
}

// The longest method that is registered has 17 letters. A first word that is longer than this is a value of some other protocol.
#define METHOD_MAX 64

static enum detected compare(struct bytes in, struct bytes beginning) {
    const size_t compared = in.len < beginning.len ? in.len : beginning.len;
    if (!bytes_equal_nocase(bytes_from(in.at, compared), bytes_from(beginning.at, compared)))
        return DETECTED_OPAQUE;
    return compared == beginning.len ? DETECTED_HTTP1 : DETECTED_MORE;
}

// The target of a request has one of four forms (RFC 9112 section 3.2), of which CONNECT's is told by its method: "GET key", as some other protocols say, is none, nor is
// "SELECT * FROM".
static enum detected detect_target(struct bytes in) {
    static const struct bytes forms[] = {BYTES_OF("/"), BYTES_OF("* HTTP/"), BYTES_OF("http:"), BYTES_OF("https:")};
    enum detected detected = DETECTED_OPAQUE;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0] && detected != DETECTED_HTTP1; i++) {
        enum detected found = compare(in, forms[i]);
        if (found != DETECTED_OPAQUE)
            detected = found;
    }
    return detected;
}

static size_t count_of(struct bytes in, size_t from, bool (*is)(char c)) {
    size_t at = from;
    while (at < in.len && is(in.at[at]))
        at++;
    return at - from;
}

static bool is_line_end(char c) {
    return c == '\r' || c == '\n';
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static bool is_word(char c) {
    return is_token(bytes_from(&c, 1));
}

static bool is_capital(char c) {
    return (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

// Any word may be a method, and servers take empty lines in front of it and more blanks than one behind it. What is wrong with a request is the codec's to say: taken for
// opaque, it would reach an application that is less strict past everything that is done to requests.
static enum detected detect_http1(struct bytes in, bool waited) {
    const size_t begin = count_of(in, 0, is_line_end);
    const struct bytes method = bytes_from(in.at + begin, count_of(in, begin, is_word));
    const size_t end = begin + method.len;
    const size_t blanks = count_of(in, end, is_blank);
    if (method.len > METHOD_MAX)
        return DETECTED_OPAQUE;
    if (end == in.len) // methods that are in use are of capitals: one who waits behind another word has said it
        return waited && count_of(method, 0, is_capital) < method.len ? DETECTED_OPAQUE : DETECTED_MORE;
    if (method.len == 0 || blanks == 0)
        return DETECTED_OPAQUE;
    if (bytes_equal(method, BYTES("CONNECT")))
        return DETECTED_HTTP1;
    return detect_target(bytes_from(in.at + end + blanks, in.len - end - blanks));
}

enum detected detect(struct bytes in, struct detect_options options, struct client_hello *hello) {
    bool is_tls = false;
    *hello = (struct client_hello){0};
    if (in.len == 0)
        return DETECTED_MORE;
    if (options.tls) {
        enum detected detected = detect_tls(in, hello, &is_tls);
        if (is_tls)
            return detected;
    }
    if (options.no_http)
        return DETECTED_OPAQUE;
    size_t compared = in.len < sizeof h2_client_preface ? in.len : sizeof h2_client_preface;
    if (memcmp(in.at, h2_client_preface, compared) == 0)
        return compared == sizeof h2_client_preface ? DETECTED_HTTP2 : DETECTED_MORE;
    return options.opaque ? detect_http1(in, options.waited) : DETECTED_HTTP1;
}
