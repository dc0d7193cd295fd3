// Texts for octets and back: RFC 4648's own examples, and what is no such text.
#include "base/base64.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void it_is_as_the_rfc_shows(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"},
                                           {"\xfb\xff\x01", "+/8B"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const struct bytes octets = bytes_from_text(pairs[i][0]), text = bytes_from_text(pairs[i][1]);
        char encoded[16];
        unsigned char decoded[16];
        size_t length;
        assert_int_equal(base64_encode((const unsigned char *)octets.at, octets.len, encoded) - encoded, base64_length(octets.len));
        assert_true(bytes_equal(bytes_from(encoded, base64_length(octets.len)), text));
        assert_true(base64_room(text.len) >= octets.len);
        assert_true(base64_decode(text, decoded, &length));
        assert_true(bytes_equal(bytes_from((const char *)decoded, length), octets));
        struct bytes bare = text;
        while (bare.len > 0 && bare.at[bare.len - 1] == '=')
            bare.len--;
        assert_true(base64_decode(bare, decoded, &length)); // padding may be left out
        assert_int_equal(length, octets.len);
    }
    static const char *const others[] = {"Zg=x", "Z", "Zh==", "-_8B", "Zm 9v"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        unsigned char decoded[16];
        size_t length;
        assert_false(base64_decode(bytes_from_text(others[i]), decoded, &length));
    }
}

// RFC 7515 appendix C, and what would be a second spelling of the same.
static void base64url_has_one_spelling(void **state) {
    (void)state;
    unsigned char octets[16];
    size_t length;
    assert_true(base64url_decode(BYTES("A-z_4ME"), octets, &length));
    assert_int_equal(length, 5);
    assert_memory_equal(octets, ((const unsigned char[]){3, 236, 255, 224, 193}), 5);
    assert_true(base64url_decode(BYTES(""), octets, &length));
    assert_int_equal(length, 0);
    static const char *const others[] = {"A-z_4MF", "A-z_4ME=", "A+z/4ME", "A-z_4", "A", "AA==", "A A", "A-z_\n4ME"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(base64url_decode(bytes_from_text(others[i]), octets, &length));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_as_the_rfc_shows),
        cmocka_unit_test(base64url_has_one_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
