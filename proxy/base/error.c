// The names of the errors and the question which of them cost the connection.
#include "base/error.h"

#include "base/check.h"

static const char *const names[ERROR_COUNT] = {
#define X(name, text) [ERROR_NUMBER_##name] = text,
    ERROR_LIST(X)
#undef X
};

const char *error_name(enum error error) {
    if (error == OK)
        return "ok";
    int number = -1 - (int)error;
    CHECK(number >= 0 && number < ERROR_COUNT);
    return names[number];
}

bool error_is_of_connection(enum error error) {
    switch (error) {
    case ERROR_FRAMING_INVALID:
    case ERROR_CONNECT_REFUSED:
    case ERROR_CONNECT_TIMEOUT:
    case ERROR_TLS_FAILED:
    case ERROR_IDENTITY_MISMATCH:
    case ERROR_CONNECTION_CLOSED:
    case ERROR_CONNECTION_RESET:
    case ERROR_PROTOCOL:
    case ERROR_FLOOD:
    case ERROR_IDLE_TIMEOUT:
    case ERROR_IO:
        return true;
    default:
        return false;
    }
}
