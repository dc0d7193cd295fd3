// See detect.h. Every form is told as soon as the bytes are no beginning of any other.
#include "downstream/detect.h"

#include "http/h2_codec.h"

static enum detected detect_tls(struct bytes in, struct client_hello *hello, bool *is_tls) {
    enum client_hello_result result = client_hello_read(in, hello);
    *is_tls = result != CLIENT_HELLO_NONE;
    return result == CLIENT_HELLO_MORE ? DETECTED_MORE : DETECTED_TLS;
}

// A request line of HTTP/1 begins with a method and a target in one of four forms (RFC 9112 section 3.2): "GET key", as some other protocols say, is none.
static enum detected detect_http1(struct bytes in) {
    static const struct bytes methods[] = {BYTES_OF("GET "),     BYTES_OF("HEAD "),    BYTES_OF("POST "),  BYTES_OF("PUT "),  BYTES_OF("DELETE "),
                                           BYTES_OF("CONNECT "), BYTES_OF("OPTIONS "), BYTES_OF("TRACE "), BYTES_OF("PATCH ")};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        size_t compared = in.len < methods[i].len ? in.len : methods[i].len;
        if (memcmp(in.at, methods[i].at, compared) != 0)
            continue;
        if (in.len <= methods[i].len)
            return DETECTED_MORE;
        char target = in.at[methods[i].len];
        bool is_target = target == '/' || target == '*' || target == 'h' || target == 'H' || bytes_equal(methods[i], BYTES("CONNECT "));
        return is_target ? DETECTED_HTTP1 : DETECTED_OPAQUE;
    }
    return DETECTED_OPAQUE;
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
    size_t compared = in.len < sizeof h2_client_preface ? in.len : sizeof h2_client_preface;
    if (memcmp(in.at, h2_client_preface, compared) == 0)
        return compared == sizeof h2_client_preface ? DETECTED_HTTP2 : DETECTED_MORE;
    return options.opaque ? detect_http1(in) : DETECTED_HTTP1;
}
