// A table in the form of a switch. See access_flags.h.
#include "telemetry/access_flags.h"

struct bytes access_flag_of(enum error end, bool by_agent) {
    switch (end) {
    case ERROR_NO_ENDPOINT:
        return BYTES("UH");
    case ERROR_CONNECT_REFUSED:
    case ERROR_CONNECT_TIMEOUT:
    case ERROR_TLS_FAILED:
    case ERROR_IDENTITY_MISMATCH:
        return BYTES("UF");
    case ERROR_BREAKER_OPEN:
    case ERROR_POOL_FULL:
    case ERROR_BULKHEAD_FULL:
    case ERROR_QUEUE_TIMEOUT:
        return BYTES("UO");
    case ERROR_ROUTE_NOT_FOUND:
    case ERROR_HOST_UNKNOWN:
    case ERROR_MISDIRECTED:
        return BYTES("NR");
    case ERROR_BACKEND_INVALID:
        return BYTES("NC");
    case ERROR_DNS_ERROR:
    case ERROR_DNS_TIMEOUT:
        return BYTES("DF");
    case ERROR_UPSTREAM_RESET:
    case ERROR_RESPONSE_INCOMPLETE:
        return BYTES("UC");
    case ERROR_RESPONSE_MALFORMED:
    case ERROR_UPGRADE_FAILED:
        return BYTES("UPE");
    case ERROR_REQUEST_TIMEOUT:
    case ERROR_TRY_TIMEOUT:
    case ERROR_DEADLINE_EXPIRED:
        return BYTES("UT");
    case ERROR_HEADER_TIMEOUT:
    case ERROR_BODY_TIMEOUT:
        return BYTES("SI");
    case ERROR_CLIENT_GONE:
        return BYTES("DC");
    case ERROR_RATE_LIMITED:
    case ERROR_QUOTA_EXCEEDED:
        return BYTES("RL");
    case ERROR_UNAUTHENTICATED:
    case ERROR_DENIED:
        return by_agent ? BYTES("UAEX") : BYTES_NONE;
    case ERROR_FAULT:
        return BYTES("FI");
    case ERROR_MEMORY_LIMIT:
        return BYTES("OM");
    case ERROR_BAD_REQUEST:
    case ERROR_FRAMING_INVALID:
    case ERROR_HEADERS_TOO_LARGE:
    case ERROR_URI_TOO_LONG:
    case ERROR_VERSION_UNSUPPORTED:
        return BYTES("DPE");
    default:
        return BYTES_NONE; // it has none that is near
    }
}
