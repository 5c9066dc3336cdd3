/* The plugin ABI of mednerd, major 1, for C.
 *
 * A library exports mednerd_plugin_v1(). Every rule of sdk/plugin/ABI.md holds:
 *  - any thread may call, several at once on one instance, open and close of it excepted;
 *  - what the host passes lives until the function returns, struct mednerd_host for ever;
 *  - what the plugin passes to a callback is copied before the callback returns;
 *  - offsets are UTF-8 bytes from the start of the text, on character boundaries; scores are 0 to 1;
 *  - functions return 0, or one of MEDNERD_E_*; a crash or a missed deadline ends the plugin's process.
 */
#ifndef MEDNERD_PLUGIN_H
#define MEDNERD_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MEDNERD_PLUGIN_ABI 1u
#define MEDNERD_NORMALIZER "mednerd.normalizer/1"
#define MEDNERD_ADAPTER "mednerd.adapter/1"
#define MEDNERD_DOCUMENT "mednerd.document/1"

enum {
    MEDNERD_OK = 0,
    MEDNERD_E_SETTINGS = 1,    /* the settings are wrong; from open alone */
    MEDNERD_E_UNAVAILABLE = 2, /* something that is needed is not there */
    MEDNERD_E_INPUT = 3,       /* the input is not what it says it is */
    MEDNERD_E_CANCELLED = 4,   /* stopped because nobody waits any more */
    MEDNERD_E_INTERNAL = 5     /* a defect of the plugin */
};

/* UTF-8, not terminated. What is called a name below has 1 to 64 of the ASCII letters and digits, '.', '_', '-' and '/'. */
typedef struct mednerd_str {
    const char *data;
    size_t size;
} mednerd_str;

/* The vendor's number, and a sentence for the administrator, which is kept from open alone. */
typedef struct mednerd_failure {
    int32_t code;
    char message[256]; /* terminated */
} mednerd_failure;

/* What the host offers. Names are those that the manifest declares. */
typedef struct mednerd_host {
    void *state;
    /* level: 1 error, 2 warning, 3 information, 4 debugging; at most 8 values */
    void (*log)(void *state, uint8_t level, mednerd_str event, const double *values, size_t count);
    void (*metric)(void *state, mednerd_str name, double add);
} mednerd_host;

/* To be polled at least every few milliseconds of work. */
typedef struct mednerd_call {
    void *state;
    bool (*cancelled)(void *state);
    uint64_t (*remaining_ns)(void *state);
} mednerd_call;

/* mednerd.normalizer/1 */

typedef struct mednerd_mention {
    uint64_t begin, end;
    mednerd_str label;
    float score;
    mednerd_str section; /* data is NULL where it is not known */
} mednerd_mention;

typedef struct mednerd_document {
    mednerd_str text;
    const mednerd_mention *mentions;
    size_t mention_count;
} mednerd_document;

typedef struct mednerd_normalize_options {
    uint32_t top_k;
    const mednerd_str *vocabularies; /* none: all */
    size_t vocabulary_count;
} mednerd_normalize_options;

typedef struct mednerd_coding {
    mednerd_str system, code, display;
} mednerd_coding;

typedef struct mednerd_concept {
    mednerd_str id, vocabulary, name;
    const mednerd_str *semantic_types;
    size_t semantic_type_count;
    float score;
    mednerd_str match_kind; /* a name, such as exact */
    const mednerd_coding *codings;
    size_t coding_count;
} mednerd_concept;

/* Takes candidates, best first for each mention. */
typedef struct mednerd_concepts {
    void *state;
    void (*add)(void *state, size_t document, size_t mention, const mednerd_concept *concept);
    /* nothing comes of this document */
    void (*fail)(void *state, size_t document, uint8_t kind, int32_t code);
} mednerd_concepts;

typedef struct mednerd_normalizer_v1 {
    uint32_t size; /* sizeof(mednerd_normalizer_v1) */
    /* settings: a JSON object, the plugin's table of the configuration */
    uint8_t (*open)(mednerd_str settings, const mednerd_host *host, void **instance, mednerd_failure *failure);
    uint8_t (*vocabularies)(void *instance, void *state,
                            void (*add)(void *state, mednerd_str name, mednerd_str version));
    uint8_t (*normalize)(void *instance, const mednerd_document *batch, size_t count,
                         const mednerd_normalize_options *options, const mednerd_call *call,
                         const mednerd_concepts *out, mednerd_failure *failure);
    void (*close)(void *instance);
} mednerd_normalizer_v1;

/* mednerd.adapter/1 */

typedef struct mednerd_task {
    mednerd_str name; /* a name */
    mednerd_str base; /* SHA-256 over the base model's files, hexadecimal */
    const mednerd_str *labels;
    size_t label_count;
    bool refines;
} mednerd_task;

typedef struct mednerd_span {
    uint64_t begin, end;
    mednerd_str label;
    float score;
} mednerd_span;

typedef struct mednerd_adapter_v1 {
    uint32_t size;
    uint8_t (*open)(mednerd_str settings, const mednerd_host *host, void **instance, mednerd_failure *failure);
    uint8_t (*task)(void *instance, void *state, void (*give)(void *state, const mednerd_task *task));
    /* adapter_config.json and adapter_model.safetensors */
    uint8_t (*files)(void *instance, const mednerd_call *call, void *state,
                     void (*give)(void *state, const uint8_t *config, size_t config_size,
                                  const uint8_t *tensors, size_t tensors_size),
                     mednerd_failure *failure);
    uint8_t (*refine)(void *instance, mednerd_str text, const mednerd_span *spans, size_t count,
                      const mednerd_call *call, void *state,
                      void (*add)(void *state, const mednerd_span *span), mednerd_failure *failure);
    void (*close)(void *instance);
} mednerd_adapter_v1;

/* mednerd.document/1 */

/* Where both sides are equal byte by byte, a word in it has a place of its own; else the piece is indivisible, also where
 * both are equally long. */
typedef struct mednerd_piece {
    uint64_t text_begin, text_end, source_begin, source_end;
} mednerd_piece;

typedef struct mednerd_document_v1 {
    uint32_t size;
    uint8_t (*open)(mednerd_str settings, const mednerd_host *host, void **instance, mednerd_failure *failure);
    /* names, such as hl7v2 */
    uint8_t (*formats)(void *instance, void *state, void (*add)(void *state, mednerd_str format));
    /* pieces cover the text in order and go forward in the source */
    uint8_t (*decode)(void *instance, mednerd_str format, const uint8_t *bytes, size_t size,
                      const mednerd_call *call, void *state,
                      void (*give)(void *state, mednerd_str text, const mednerd_piece *pieces, size_t count),
                      mednerd_failure *failure);
    void (*close)(void *instance);
} mednerd_document_v1;

/* The library */

typedef struct mednerd_plugin {
    uint32_t abi;  /* MEDNERD_PLUGIN_ABI */
    uint32_t size; /* sizeof(mednerd_plugin) */
    mednerd_str id, version; /* as in the manifest */
    const mednerd_str *abilities;
    size_t ability_count;
    /* a table such as mednerd_normalizer_v1, or NULL */
    const void *(*ability)(mednerd_str id);
} mednerd_plugin;

/* Lives for ever. */
const mednerd_plugin *mednerd_plugin_v1(void);

#ifdef __cplusplus
}
#endif
#endif
