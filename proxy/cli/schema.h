// What `outrigger schema` says of a kind, out of its table alone (config/table.h): for people as Markdown, for editors as JSON Schema, for Kubernetes as a custom resource
// definition.
#ifndef CLI_SCHEMA_H
#define CLI_SCHEMA_H

#include "config/document.h"

#include <jansson.h>
#include <stdio.h>

// A section of Markdown: what the kind is for, and a table with a line for each field.
void schema_print_text(FILE *out, const struct kind *kind);

// A whole document of that kind. JSON Schema, draft 2020-12. The caller's reference.
json_t *schema_json(const struct kind *kind);

// A CustomResourceDefinition whose schema is structural (apiextensions.k8s.io/v1). The caller's reference.
json_t *schema_crd(const struct kind *kind);

#endif
