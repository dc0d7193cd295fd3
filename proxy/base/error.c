// The names of the errors, from the one list in error.h.
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
