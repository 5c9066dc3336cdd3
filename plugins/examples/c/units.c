/* A plugin in C: links a handful of drug names to their ATC codes. */
#include <mednerd_plugin.h>

#include <stdlib.h>
#include <string.h>

#define STR(text) {text, sizeof(text) - 1}

static const struct {
    const char *name;
    mednerd_str code, display;
} terms[] = {
    {"aspirin", STR("B01AC06"), STR("acetylsalicylic acid")},
    {"ibuprofen", STR("M01AE01"), STR("ibuprofen")},
    {"metformin", STR("A10BA02"), STR("metformin")},
    {"warfarin", STR("B01AA03"), STR("warfarin")},
};

static const mednerd_str vocabulary = STR("ATC");
static const mednerd_str version = STR("2026");
static const mednerd_str atc = STR("http://www.whocc.no/atc");
static const mednerd_str semantic_type = STR("T121");
static const mednerd_str exact = STR("exact");

static int equal(mednerd_str text, mednerd_str other) {
    return text.size == other.size && memcmp(text.data, other.data, text.size) == 0;
}

/* Whether a mention is a name, in any case. */
static int is_name(const char *mention, size_t size, const char *name) {
    if (size != strlen(name))
        return 0;
    for (size_t i = 0; i < size; i++) {
        char letter = mention[i] >= 'A' && mention[i] <= 'Z' ? (char)(mention[i] + 32) : mention[i];
        if (letter != name[i])
            return 0;
    }
    return 1;
}

static uint8_t open_plugin(mednerd_str settings, const mednerd_host *host, void **instance,
                           mednerd_failure *failure) {
    (void)settings;
    (void)host;
    (void)failure;
    *instance = NULL; /* it has no state */
    return MEDNERD_OK;
}

static uint8_t vocabularies(void *instance, void *state,
                            void (*add)(void *state, mednerd_str name, mednerd_str version)) {
    (void)instance;
    add(state, vocabulary, version);
    return MEDNERD_OK;
}

static uint8_t normalize(void *instance, const mednerd_document *batch, size_t count,
                         const mednerd_normalize_options *options, const mednerd_call *call,
                         const mednerd_concepts *out, mednerd_failure *failure) {
    (void)instance;
    (void)failure;
    int wanted = options->vocabulary_count == 0;
    for (size_t i = 0; i < options->vocabulary_count; i++)
        wanted |= equal(options->vocabularies[i], vocabulary);
    for (size_t d = 0; wanted && d < count; d++) {
        if (call->cancelled(call->state))
            return MEDNERD_E_CANCELLED;
        for (size_t m = 0; m < batch[d].mention_count; m++) {
            const mednerd_mention *mention = &batch[d].mentions[m];
            const char *text = batch[d].text.data + mention->begin;
            size_t size = (size_t)(mention->end - mention->begin);
            for (size_t t = 0; t < sizeof terms / sizeof *terms; t++) {
                if (!is_name(text, size, terms[t].name))
                    continue;
                mednerd_coding coding = {atc, terms[t].code, terms[t].display};
                mednerd_concept concept = {
                    .id = terms[t].code,
                    .vocabulary = vocabulary,
                    .name = terms[t].display,
                    .semantic_types = &semantic_type,
                    .semantic_type_count = 1,
                    .score = 1.0f,
                    .match_kind = exact,
                    .codings = &coding,
                    .coding_count = 1,
                };
                out->add(out->state, d, m, &concept);
                break;
            }
        }
    }
    return MEDNERD_OK;
}

static void close_plugin(void *instance) { (void)instance; }

static const mednerd_normalizer_v1 normalizer = {
    .size = sizeof(mednerd_normalizer_v1),
    .open = open_plugin,
    .vocabularies = vocabularies,
    .normalize = normalize,
    .close = close_plugin,
};

static const void *ability(mednerd_str id) {
    const mednerd_str wanted = STR(MEDNERD_NORMALIZER);
    return equal(id, wanted) ? &normalizer : NULL;
}

static const mednerd_str abilities[] = {STR(MEDNERD_NORMALIZER)};

static const mednerd_plugin plugin = {
    .abi = MEDNERD_PLUGIN_ABI,
    .size = sizeof(mednerd_plugin),
    .id = STR("example.units"),
    .version = STR("1.0.0"),
    .abilities = abilities,
    .ability_count = 1,
    .ability = ability,
};

__attribute__((visibility("default"))) const mednerd_plugin *mednerd_plugin_v1(void) {
    return &plugin;
}
