// Letter by letter. See access_moment.h.
#include "telemetry/access_moment.h"

#include "base/check.h"

// The letter of strftime's that stands at `at`, behind a percent sign, with a digit before `f`.
static bool is_time_letter(struct bytes format, size_t at, size_t *length) {
    *length = 1;
    if (at < format.len && format.at[at] >= '1' && format.at[at] <= '9') {
        *length = 2;
        return at + 1 < format.len && format.at[at + 1] == 'f';
    }
    const struct bytes letters = BYTES("YmdeHMSsfFTDjyabABZzIp%");
    return at < format.len && bytes_find(letters, format.at[at]) < letters.len;
}

bool access_moment_is_format(struct bytes format) {
    size_t length;
    for (size_t i = 0; i < format.len; i++) {
        if (format.at[i] != '%')
            continue;
        if (!is_time_letter(format, i + 1, &length))
            return false;
        i += length;
    }
    return format.len > 0;
}

static void add_moment_letter(struct access_line *line, const struct calendar *moment, nanoseconds wall, char letter, unsigned digits) {
    static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
    static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                         "July",    "August",   "September", "October", "November", "December"};
    static const uint32_t powers[] = {0, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
    switch (letter) {
    case 'Y':
        access_line_add_padded(line, moment->year, 4);
        break;
    case 'y':
        access_line_add_padded(line, moment->year, 2);
        break;
    case 'm':
        access_line_add_padded(line, moment->month, 2);
        break;
    case 'd':
        access_line_add_padded(line, moment->day, 2);
        break;
    case 'e':
        access_line_add(line, moment->day < 10 ? BYTES(" ") : BYTES(""));
        access_line_add_number(line, moment->day);
        break;
    case 'j':
        access_line_add_padded(line, moment->day_of_year, 3);
        break;
    case 'H':
        access_line_add_padded(line, moment->hour, 2);
        break;
    case 'I':
        access_line_add_padded(line, (moment->hour + 11) % 12 + 1, 2);
        break;
    case 'p':
        access_line_add(line, moment->hour < 12 ? BYTES("AM") : BYTES("PM"));
        break;
    case 'M':
        access_line_add_padded(line, moment->minute, 2);
        break;
    case 'S':
        access_line_add_padded(line, moment->second, 2);
        break;
    case 's':
        access_line_add_number(line, wall / NS_PER_S);
        break;
    case 'f':
        access_line_add_padded(line, moment->nanosecond / powers[digits], digits);
        break;
    case 'a':
        access_line_add(line, bytes_from(days[moment->weekday], 3));
        break;
    case 'A':
        access_line_add(line, bytes_from_text(days[moment->weekday]));
        break;
    case 'b':
        access_line_add(line, bytes_from(months[moment->month - 1], 3));
        break;
    case 'B':
        access_line_add(line, bytes_from_text(months[moment->month - 1]));
        break;
    case 'Z':
        access_line_add(line, BYTES("UTC"));
        break;
    case 'z':
        access_line_add(line, BYTES("+0000"));
        break;
    default:
        CHECK(letter == '%');
        access_line_add(line, BYTES("%"));
    }
}

// Letters that stand for several.
static struct bytes meant_by(char letter) {
    return letter == 'F' ? BYTES("%Y-%m-%d") : letter == 'T' ? BYTES("%H:%M:%S") : letter == 'D' ? BYTES("%m/%d/%y") : BYTES_NONE;
}

static void add_plain_moment(struct access_line *line, struct bytes format, const struct calendar *moment, nanoseconds wall) {
    for (size_t i = 0; i < format.len; i++)
        if (format.at[i] == '%')
            add_moment_letter(line, moment, wall, format.at[++i], 9);
        else
            access_line_add(line, bytes_from(format.at + i, 1));
}

void access_moment_add(struct access_line *line, struct bytes format, nanoseconds wall) {
    const struct calendar moment = calendar_of(wall);
    const char *const most = line->at + ACCESS_MOMENT_MAX - 20; // the longest letter's
    for (size_t i = 0; i < format.len && line->at < most; i++) {
        if (format.at[i] != '%') {
            access_line_add(line, bytes_from(format.at + i, 1));
            continue;
        }
        const char letter = format.at[++i];
        const struct bytes several = meant_by(letter);
        if (several.len > 0)
            add_plain_moment(line, several, &moment, wall);
        else if (letter >= '1' && letter <= '9')
            add_moment_letter(line, &moment, wall, format.at[++i], (unsigned)(letter - '0'));
        else
            add_moment_letter(line, &moment, wall, letter, 9);
    }
}
