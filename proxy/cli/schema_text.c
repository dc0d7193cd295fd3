// A kind's table as Markdown. Fields that the language has and this version does not are left out: what stands here works.
#include "cli/schema.h"

#include "base/check.h"
#include "config/value.h"

#include <inttypes.h>
#include <string.h>

// The longest path of a field, as spec.listeners[].mtls.mode.
#define PATH_MAX_BYTES 256

static void print_escaped(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_words(FILE *out, const struct choice *choices) {
    const char *between = "";
    for (const struct choice *choice = choices; choice->name != NULL; choice++) {
        if (choice->is_later)
            continue;
        fprintf(out, "%s`%s`", between, choice->name);
        between = ", ";
    }
}

static void print_range(FILE *out, const struct row *row) {
    char low[FORMAT_MAX], high[FORMAT_MAX];
    switch (row->type) {
    case VALUE_DURATION:
        duration_format(row->min, low);
        duration_format(row->max, high);
        fprintf(out, "duration, %s to %s", low, high);
        break;
    case VALUE_QUANTITY:
        quantity_format(row->min, low);
        quantity_format(row->max, high);
        fprintf(out, "size, %s to %s", low, high);
        break;
    default:
        fprintf(out, "%" PRIu64 " to %" PRIu64, row->min, row->max);
    }
}

static const char *word_of(enum value_type type) {
    switch (type) {
    case VALUE_LABEL:
        return "name";
    case VALUE_HOST:
        return "host";
    case VALUE_PATH:
        return "path";
    case VALUE_BOOL:
        return "true or false";
    case VALUE_SPIFFE_ID:
        return "SPIFFE ID";
    case VALUE_CIDR:
        return "address or range";
    case VALUE_OBJECT:
        return "object";
    case VALUE_TEXT_MAP:
        return "names to texts";
    default:
        return "text";
    }
}

static void print_form(FILE *out, const struct row *row) {
    switch (row->type) {
    case VALUE_INTEGER:
    case VALUE_DURATION:
    case VALUE_QUANTITY:
        print_range(out, row);
        break;
    case VALUE_ENUM:
        print_words(out, row->choices);
        break;
    case VALUE_FLAGS:
        fprintf(out, "list of ");
        print_words(out, row->choices);
        break;
    case VALUE_NUMBERS:
        fprintf(out, "list of numbers, ");
        print_range(out, row);
        break;
    case VALUE_ADDRESS:
        fprintf(out, "address%s%s", (row->forms & ADDRESS_PORT_OPTIONAL) != 0 ? ", port optional" : " with port",
                (row->forms & ADDRESS_UNIX) != 0 ? ", or unix:/path" : "");
        break;
    case VALUE_LIST:
        fprintf(out, "list, %" PRIu64 " to %" PRIu64 ", of %ss", row->min, row->max, word_of(row->item));
        break;
    default:
        fprintf(out, "%s", word_of(row->type));
    }
    if (row->is_required)
        fprintf(out, "; required");
    if (row->is_group)
        fprintf(out, "; taken whole");
}

// What each word means, where the table says so.
static void print_meanings(FILE *out, const struct row *row) {
    if (row->type != VALUE_ENUM && row->type != VALUE_FLAGS)
        return;
    for (const struct choice *choice = row->choices; choice->name != NULL; choice++) {
        if (choice->is_later || choice->describes == NULL)
            continue;
        fprintf(out, "; `%s`: ", choice->name);
        print_escaped(out, choice->describes);
    }
}

static void print_table(FILE *out, const struct table *table, const char *path, bool in_list);

static void print_row(FILE *out, const struct row *row, const char *path) {
    fprintf(out, "| `%s` | ", path);
    print_form(out, row);
    fprintf(out, " | ");
    if (row->fallback != NULL)
        fprintf(out, "%s", row->fallback);
    fprintf(out, " | ");
    print_escaped(out, row->describes);
    print_meanings(out, row);
    fprintf(out, " |\n");
    if (row->object != NULL)
        print_table(out, row->object, path, row->type == VALUE_LIST);
}

// `path`: of the object; empty for spec itself. `in_list`: of each item of it.
static void print_table(FILE *out, const struct table *table, const char *path, bool in_list) {
    for (const struct row *row = table->rows; row->name != NULL; row++) {
        char inner[PATH_MAX_BYTES];
        int length = snprintf(inner, sizeof(inner), "%s%s%s%s", path, in_list ? "[]" : "", path[0] == '\0' ? "" : ".", row->name);
        CHECK(length > 0 && (size_t)length < sizeof(inner));
        print_row(out, row, inner);
    }
}

void schema_print_text(FILE *out, const struct kind *kind) {
    fprintf(out, "## %s\n\n", kind->name);
    fprintf(out, "`apiVersion: %s`", kind->api_version);
    if (kind->older_version != NULL)
        fprintf(out, " (or `%s`)", kind->older_version);
    fprintf(out, ", `kind: %s`: %s.\n\n", kind->name, kind->spec->describes);
    fprintf(out, "| field of spec | form | default | what it is |\n|---|---|---|---|\n");
    print_table(out, kind->spec, "", false);
}
