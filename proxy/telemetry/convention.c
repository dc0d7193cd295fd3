// Pure functions of what a request was. See convention.h.
#include "telemetry/convention.h"

#include "telemetry/series_facts.h"

struct bytes convention_method(struct bytes method) {
    static const struct bytes names[] = {BYTES_OF("GET"),     BYTES_OF("POST"),    BYTES_OF("PUT"),   BYTES_OF("DELETE"), BYTES_OF("HEAD"),
                                         BYTES_OF("OPTIONS"), BYTES_OF("CONNECT"), BYTES_OF("TRACE"), BYTES_OF("PATCH"),  BYTES_OF("QUERY")};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (bytes_equal(names[i], method))
            return names[i];
    return BYTES_NONE;
}

struct bytes convention_host(struct bytes place, uint64_t *port) {
    size_t split = place.len;
    while (split > 0 && place.at[split - 1] >= '0' && place.at[split - 1] <= '9')
        split--;
    const bool has_port = split > 1 && split < place.len && place.at[split - 1] == ':';
    const struct bytes host = has_port ? bytes_from(place.at, split - 1) : place;
    if (has_port)
        (void)bytes_to_u64(bytes_from(place.at + split, place.len - split), UINT16_MAX, port);
    return host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']' ? bytes_from(host.at + 1, host.len - 2) : host;
}

uint16_t convention_port(struct bytes scheme) {
    return bytes_equal_nocase(scheme, BYTES("https")) ? 443 : 80;
}

bool convention_is_cancellation(enum error end) {
    return end == ERROR_CANCELLED || end == ERROR_CLIENT_GONE;
}

// UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS: a server is not to blame for what its caller does wrong.
static bool is_servers_code(int32_t code) {
    return code == 2 || code == 4 || code == 12 || code == 13 || code == 14 || code == 15;
}

static struct bytes print_status(uint16_t status, char digits[CONVENTION_DIGITS_MAX]) {
    size_t at = CONVENTION_DIGITS_MAX;
    for (uint16_t rest = status; rest > 0; rest /= 10)
        digits[--at] = (char)('0' + rest % 10);
    return bytes_from(digits + at, CONVENTION_DIGITS_MAX - at);
}

struct bytes convention_error_type(const struct convention_outcome *outcome, char digits[CONVENTION_DIGITS_MAX]) {
    if (convention_is_cancellation(outcome->end))
        return BYTES_NONE;
    if (outcome->grpc_code != CONVENTION_NO_CODE) {
        const bool is_error = outcome->is_server ? is_servers_code(outcome->grpc_code) : outcome->grpc_code != 0;
        return is_error ? rpc_status_name((uint16_t)outcome->grpc_code) : BYTES_NONE;
    }
    // That an answer broke off is the fault of whoever gave it, be it one for what its client did wrong.
    const bool is_cut = outcome->end == ERROR_RESPONSE_INCOMPLETE;
    if (outcome->is_server && !is_cut && outcome->status >= 400 && outcome->status < 500)
        return BYTES_NONE;
    if (outcome->end != OK)
        return bytes_from_text(error_name(outcome->end));
    return outcome->status >= 400 ? print_status(outcome->status, digits) : BYTES_NONE;
}
