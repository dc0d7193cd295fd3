// `outrigger schema [KIND] [--json | --crd]`: what documents may say, from the tables that read them. Plain: Markdown, of which docs/reference.md is made.
#include "cli/command.h"
#include "cli/schema.h"

#include <stdio.h>
#include <string.h>

enum form { FORM_TEXT, FORM_JSON, FORM_CRD };

static const struct kind *find_kind(const char *name) {
    for (const struct kind *kind = config_kinds; kind->name != NULL; kind++)
        if (strcmp(kind->name, name) == 0)
            return kind;
    return NULL;
}

// Kinds of Gateway API come to a cluster with Gateway API.
static bool is_ours(const struct kind *kind) {
    return strcmp(kind->api_version, API_VERSION) == 0;
}

static void print_json(json_t *value) {
    json_dumpf(value, stdout, JSON_INDENT(1));
    printf("\n");
    json_decref(value);
}

static json_t *schema_of(const struct kind *kind, enum form form) {
    return form == FORM_JSON ? schema_json(kind) : schema_crd(kind);
}

static void print_intro(void) {
    printf("# Reference\n\n"
           "Every field of every kind of document, as this version reads them; `outrigger schema` prints this. Each document has `apiVersion`, "
           "`kind`, `metadata` (name; namespace, by default\n"
           "`default`; labels, annotations) and `spec`. Durations are written as `250ms` or `1h30m`, sizes as `64Ki` or `16Mi`. Of what is \"taken "
           "whole\" the most specific policy that has it\n"
           "counts, with the defaults of this page for what it leaves out. `outrigger schema KIND --json` is the JSON Schema of a kind, `--crd` its "
           "custom resource definition.\n");
}

static void print_all(enum form form) {
    json_t *items = json_array();
    if (form == FORM_TEXT)
        print_intro();
    for (const struct kind *kind = config_kinds; kind->name != NULL; kind++) {
        if (form == FORM_TEXT) {
            printf("\n");
            schema_print_text(stdout, kind);
        } else if (form == FORM_JSON || is_ours(kind)) {
            json_array_append_new(items, schema_of(kind, form));
        }
    }
    if (form == FORM_CRD)
        print_json(json_pack("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items", items));
    else if (form == FORM_JSON)
        print_json(json_pack("{s:s, s:O}", "$schema", "https://json-schema.org/draft/2020-12/schema", "oneOf", items));
    json_decref(items);
}

static enum exit_code usage(const char *what, const char *argument) {
    fprintf(stderr, "outrigger schema: %s %s; kinds:", what, argument);
    for (const struct kind *kind = config_kinds; kind->name != NULL; kind++)
        fprintf(stderr, " %s", kind->name);
    fprintf(stderr, "; options: --json, --crd\n");
    return EXIT_USAGE;
}

enum exit_code command_schema(int count, char **arguments) {
    const struct kind *kind = NULL;
    enum form form = FORM_TEXT;
    for (int i = 0; i < count; i++) {
        const bool is_json = strcmp(arguments[i], "--json") == 0;
        if (is_json || strcmp(arguments[i], "--crd") == 0) {
            if (form != FORM_TEXT)
                return usage("one form at a time, not also", arguments[i]);
            form = is_json ? FORM_JSON : FORM_CRD;
        } else if (arguments[i][0] == '-') {
            return usage("unknown option", arguments[i]);
        } else if (kind != NULL) {
            return usage("one kind at a time, not also", arguments[i]);
        } else if ((kind = find_kind(arguments[i])) == NULL) {
            return usage("unknown kind", arguments[i]);
        }
    }
    if (kind != NULL && form == FORM_CRD && !is_ours(kind))
        return usage("not ours to define, since it is Gateway API's own:", kind->name);
    if (kind == NULL)
        print_all(form);
    else if (form == FORM_TEXT)
        schema_print_text(stdout, kind);
    else
        print_json(schema_of(kind, form));
    return EXIT_OK;
}
