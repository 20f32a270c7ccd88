/* The columnar view of X12, compiled: what `scan.py` does with numpy, in one pass a step.

   Bytes in, arrays out. Every function gets memory that its caller has measured and owns; none keeps anything, allocates, or
   calls another library, so they may run in threads beside Python. Indexes that come from outside are held against the
   sizes that come with them: what lies beyond is an absent element, never another one's memory. `scan.py` is the reference for
   reading, `columns.py` for writing: the tests hold both to the same, and where this library is not there they work alone. */

#include <stdint.h>
#include <stddef.h>

#define PAD 24

/* the source that this was made of, so that an old library is never taken for a new one */
const char x12_source[] = X12_SOURCE;

static inline uint64_t word_at(const uint8_t *at) {
    uint64_t word;
    __builtin_memcpy(&word, at, 8);
    return word;
}

static const uint64_t LOW[9] = {0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF, ~0ULL};

static inline int blank(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0 || c == 26; }

/* ---- cutting ---------------------------------------------------------------------------------------------------- */

typedef uint8_t vector64 __attribute__((ext_vector_type(64)));
typedef _Bool bits64 __attribute__((ext_vector_type(64)));
typedef uint8_t vector16 __attribute__((ext_vector_type(16)));

/* 64 bytes → a bit where they equal `wanted` */
static inline uint64_t equal_bits(const uint8_t *at, uint8_t wanted) {
    vector64 bytes;
    __builtin_memcpy(&bytes, at, 64);
    bits64 same = __builtin_convertvector(bytes == (vector64)wanted, bits64);
    uint64_t bits;
    __builtin_memcpy(&bits, &same, 8);
    return bits;
}

/* the bits of the block at `at` of text[0:size]: only whole blocks are read from the text itself */
static inline void block_bits(const uint8_t *text, int64_t size, int64_t at, uint8_t element, uint8_t segment, uint64_t *any, uint64_t *ends) {
    uint8_t rest[64];
    const uint8_t *from = text + at;
    uint64_t kept = ~0ULL;
    if (size - at < 64) {
        __builtin_memset(rest, 0, 64);
        for (int64_t i = at; i < size; i++) rest[i - at] = text[i];
        from = rest;
        kept = (1ULL << (size - at)) - 1;
    }
    *ends = equal_bits(from, segment) & kept;
    *any = (equal_bits(from, element) & kept) | *ends;
}

/* how many delimiters text[0:size] holds, and how many of them are terminators */
void x12_count(const uint8_t *text, int64_t size, int64_t element, int64_t segment, int64_t *found) {
    int64_t all = 0, terminators = 0;
    for (int64_t at = 0; at < size; at += 64) {
        uint64_t any, ends;
        block_bits(text, size, at, (uint8_t)element, (uint8_t)segment, &any, &ends);
        all += __builtin_popcountll(any);
        terminators += __builtin_popcountll(ends);
    }
    found[0] = all;
    found[1] = terminators;
}

/* marks: where delimiters stand, counted from PAD before the text; last: which of them are terminators */
void x12_mark(const uint8_t *text, int64_t size, int64_t element, int64_t segment, int32_t *marks, int32_t *last) {
    int64_t m = 0, n = 0;
    for (int64_t at = 0; at < size; at += 64) {
        uint64_t any, ends;
        block_bits(text, size, at, (uint8_t)element, (uint8_t)segment, &any, &ends);
        for (uint64_t left = ends; left; left &= left - 1)
            last[n++] = (int32_t)(m + __builtin_popcountll(any & ((left & -left) - 1)));
        for (; any; any &= any - 1) marks[m++] = (int32_t)(PAD + at + __builtin_ctzll(any));
    }
}

/* for each segment: where it starts and stops, its first mark, how many elements, its id as a number, its first eight bytes,
   and id and first element as one word. `ends` differs from `marks` where line ends stand before terminators. */
void x12_lay(const uint8_t *buffer, int64_t n, const int32_t *marks, const int32_t *ends, const int32_t *last, int64_t *starts,
             int64_t *stops, int64_t *base, int64_t *counts, int64_t *codes, uint64_t *words, uint64_t *heads) {
    static const uint64_t id_of[5] = {0, 0, 0xFFFF, 0xFFFFFF, 0};
    int64_t start = PAD, first = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t end = ends[first], at = start;
        while (at < end && blank(buffer[at])) at++;
        uint64_t word = word_at(buffer + at);
        int64_t length = end - at;
        starts[i] = at;
        stops[i] = marks[last[i]];
        base[i] = first;
        counts[i] = last[i] - first + 1;
        words[i] = word;
        codes[i] = (int64_t)(word & id_of[length < 0 ? 0 : length > 4 ? 4 : length]);
        length = ends[last[i] > first ? first + 1 : first] - at;
        heads[i] = length > 8 ? ~0ULL : word & LOW[length < 0 ? 0 : length];
        first = last[i] + 1;
        start = stops[i] + 1;
    }
    base[n] = counts[n] = codes[n] = 0;
}

/* where in text[from:to] the letters ISA begin (all three within the text); returns how many, at most `room` */
int64_t x12_find_isa(const uint8_t *text, int64_t size, int64_t from, int64_t to, int64_t *out, int64_t room) {
    int64_t found = 0, at = from;
    if (to > size - 2) to = size - 2;
    while (at < to && found < room) {
        if (at + 64 <= to) {
            uint64_t bits = equal_bits(text + at, 'I');
            if (bits) bits &= equal_bits(text + at + 1, 'S') & equal_bits(text + at + 2, 'A');
            for (; bits && found < room; bits &= bits - 1) out[found++] = at + __builtin_ctzll(bits);
            at += 64;
        } else {
            if (text[at] == 'I' && text[at + 1] == 'S' && text[at + 2] == 'A') out[found++] = at;
            at++;
        }
    }
    return found;
}

/* ---- which segments --------------------------------------------------------------------------------------------- */

#define IDS 256

/* Segments by their ids: order holds their places, those of one id after another, in order; the id of ids[k] has
   order[from[k]:from[k + 1]]. Returns how many ids there are, -1 where there are more than room for. `slots` is for work. */
int64_t x12_by_id(const int64_t *codes, int64_t n, uint8_t *slots, int64_t *order, int64_t *ids, int64_t *from) {
    int64_t key[IDS], count[IDS], at[IDS], many = 0;
    for (int k = 0; k < IDS; k++) key[k] = -1, count[k] = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t code = codes[i];
        unsigned slot = (unsigned)(((uint64_t)code * 0x9E3779B97F4A7C15ULL) >> 56);
        while (key[slot] != code) {
            if (key[slot] < 0) {
                if (++many > IDS / 2) return -1;
                key[slot] = code;
                break;
            }
            slot = (slot + 1) & (IDS - 1);
        }
        slots[i] = (uint8_t)slot;
        count[slot]++;
    }
    int64_t total = 0, k = 0;
    for (int slot = 0; slot < IDS; slot++) {
        if (key[slot] < 0) continue;
        ids[k] = key[slot];
        from[k++] = at[slot] = total;
        total += count[slot];
    }
    from[k] = total;
    for (int64_t i = 0; i < n; i++) order[at[slots[i]]++] = i;
    return many;
}

/* For each segment its claim and its line, as places among claims and lines (-1: none). A claim or line counts only in a set
   that is `here`, and only up to the end of its set; a line ends with the next claim. Writes the lines' segments and their
   numbers in their claims, and returns how many lines there are. */
int64_t x12_owners(const int64_t *codes, int64_t n, const int64_t *set_of, const uint8_t *here, int64_t sets, int64_t claim_code,
                   int64_t line_code, int64_t *claim_of, int64_t *line_of, int64_t *line_at, int64_t *line_number) {
    int64_t claim = -1, line = -1, claim_set = -1, in_claim = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t set = set_of[i];
        int inside = set >= 0 && set < sets && here[set];
        if (inside && codes[i] == claim_code) {
            claim++;
            claim_set = set;
            in_claim = 0;
        }
        int below = claim >= 0 && set == claim_set;
        if (below && inside && codes[i] == line_code) {
            line_at[++line] = i;
            line_number[line] = ++in_claim;
        }
        claim_of[i] = below ? claim : -1;
        line_of[i] = below && in_claim ? line : -1;
    }
    return line + 1;
}

/* The first segment of each kind below each claim, outside its lines, or below each line: kind k wants the head heads[k] at
   level[k] (0 claim, 1 line) and has the places out[k][0:size[k]], which hold -1. found[k]: how many segments. At most 32 kinds. */
void x12_firsts(const uint64_t *head_of, int64_t n, const int64_t *claim_of, const int64_t *line_of, const uint64_t *heads,
                const int64_t *level, int64_t kinds, int64_t **out, const int64_t *size, int64_t *found) {
    int8_t table[64]; /* kinds by a hash of their heads, each in the first free place from there */
    __builtin_memset(table, -1, sizeof table);
    if (kinds > 32) return;
    for (int64_t k = 0; k < kinds; k++) {
        unsigned place = (unsigned)((heads[k] * 0x9E3779B97F4A7C15ULL) >> 58);
        while (table[place] >= 0) place = (place + 1) & 63;
        table[place] = (int8_t)k;
    }
    for (int64_t i = 0; i < n; i++) {
        uint64_t head = head_of[i];
        unsigned place = (unsigned)((head * 0x9E3779B97F4A7C15ULL) >> 58);
        for (int k; (k = table[place]) >= 0; place = (place + 1) & 63) {
            if (head != heads[k]) continue;
            int64_t owner = level[k] ? line_of[i] : line_of[i] < 0 ? claim_of[i] : -1;
            if (owner < 0 || owner >= size[k]) continue;
            found[k]++;
            if (out[k][owner] < 0) out[k][owner] = i;
        }
    }
}

/* The repeats that hold anything of each of these segments: elements first, first + step, … at most `most`. Returns how many;
   writes row and number of each where `row` is given. */
int64_t x12_repeats(const int32_t *marks, const int32_t *ends, const int64_t *base, const int64_t *counts, int64_t n,
                    const int64_t *segments, int64_t rows, int64_t first, int64_t step, int64_t most, int64_t *row, int64_t *number) {
    int64_t found = 0;
    for (int64_t r = 0; r < rows; r++) {
        int64_t segment = segments[r];
        if (segment < 0 || segment >= n) continue;
        int64_t from = base[segment], have = counts[segment];
        for (int64_t k = 0; k < most && first + step * k < have; k++) {
            int64_t begin = first + step * k, last = (have < begin + step ? have : begin + step) - 1;
            if (ends[from + last] - marks[from + begin - 1] - 1 <= last - begin) continue;
            if (row) {
                row[found] = r;
                number[found] = k;
            }
            found++;
        }
    }
    return found;
}

/* ---- columns ---------------------------------------------------------------------------------------------------- */

enum { TEXT, DECIMAL, DATE, INTEGER };

/* One column: a value of each of n segments (-1: none), or of spans that are known. */
typedef struct {
    int64_t kind, scale, n;
    const int64_t *segments;
    int64_t element;
    const int64_t *elements; /* one a row, instead of `element` */
    int64_t component;       /* 0: the whole element */
    const int64_t *starts, *stops;
    void *values;   /* text: n + 1 offsets (int32); decimal: n × 16 bytes; date: n × int32; integer: n × int64 */
    uint8_t *valid; /* a bit a row */
    int32_t *from;  /* text: where each one starts */
    uint8_t *data;  /* text: its bytes, and 16 more */
    int64_t given, nulls, wrong, bytes;
} Column;

typedef struct {
    const uint8_t *buffer;
    int64_t size; /* of the buffer, pads included */
    const int32_t *marks, *ends;
    const int64_t *base, *counts;
    int64_t n, component;
} Scan;

/* rows of a block: what they read is still near when the next column reads it again */
#define BLOCK 32

/* how the values of a column are found */
enum { BY_SPANS, BY_ELEMENT, BY_COMPONENT };

/* What the columns of a block share that are read from the same segments, and from the same element by components. */
typedef struct {
    const int64_t *segments; /* of these, from row `low` to before row `high` */
    int64_t low, high;
    int64_t first[BLOCK], have[BLOCK]; /* the first mark of each, and how many elements it has: 0 where there is none */
    const int64_t *elements;           /* one a row, or 0: `element` of each */
    int64_t element;                   /* 0: no element was looked at by components */
    int64_t start[BLOCK], stop[BLOCK]; /* where it is */
    uint64_t separators[BLOCK];        /* where component separators stand in it, if it has at most 64 bytes */
} Block;

/* 64 bytes or less → a bit where the separator stands */
static inline uint64_t separators_of(const uint8_t *from, int64_t length, uint8_t separator) {
    uint64_t bits = 0;
    for (int64_t part = 0; part < length; part += 8) {
        uint64_t x = word_at(from + part) ^ (0x0101010101010101ULL * separator);
        uint64_t hit = ~(((x & 0x7F7F7F7F7F7F7F7FULL) + 0x7F7F7F7F7F7F7F7FULL) | x | 0x7F7F7F7F7F7F7F7FULL);
        bits |= (((hit >> 7) * 0x0102040810204080ULL) >> 56) << part;
    }
    return length < 64 ? bits & ((1ULL << length) - 1) : bits;
}

/* buffer[a:b] → its component of that number (from 1); 0 where it has fewer */
static inline int component(const uint8_t *buffer, uint8_t separator, uint64_t bits, int64_t number, int64_t *a, int64_t *b) {
    int64_t from = *a, to = *b;
    if (to - from > 64) { /* seldom: byte by byte */
        for (int64_t skip = number - 1; skip; skip--) {
            while (from < to && buffer[from] != separator) from++;
            if (from >= to) return 0;
            from++;
        }
        *a = from;
        while (from < to && buffer[from] != separator) from++;
        *b = from;
        return 1;
    }
    if (number > 1) {
        for (int64_t skip = number - 2; skip && bits; skip--) bits &= bits - 1;
        if (!bits) return 0;
        *a = from + __builtin_ctzll(bits) + 1;
        bits &= bits - 1;
    }
    if (bits) *b = from + __builtin_ctzll(bits);
    return 1;
}

/* an element of the k-th segment of a block; 0 where it is absent or empty */
static inline int element_of(const Scan *scan, const Block *block, int64_t k, int64_t element, int64_t *a, int64_t *b) {
    if (element < 1 || element >= block->have[k]) return 0;
    int64_t at = block->first[k] + element;
    *a = scan->marks[at - 1] + 1, *b = scan->ends[at];
    return *b > *a;
}

static inline __attribute__((always_inline)) void span(const Scan *scan, const Column *column, const Block *block, const int how, int64_t row, int64_t *start, int64_t *stop) {
    int64_t a, b, k = row - block->low;
    *start = *stop = PAD;
    if (how == BY_SPANS) {
        a = column->starts[row], b = column->stops[row];
        if (a < PAD || b > scan->size - PAD || b <= a) return;
    } else if (how == BY_ELEMENT) {
        if (!element_of(scan, block, k, column->elements ? column->elements[row] : column->element, &a, &b)) return;
    } else {
        a = block->start[k], b = block->stop[k];
        if (b <= a || !component(scan->buffer, (uint8_t)scan->component, block->separators[k], column->component, &a, &b) || b <= a) return;
    }
    *start = a;
    *stop = b;
}

/* Eight ASCII digits, the first one lowest → their number; -1 where one is no digit. */
static inline int64_t eight(uint64_t word) {
    uint64_t v = word ^ 0x3030303030303030ULL;
    if ((v | (v + 0x0606060606060606ULL)) & 0xF0F0F0F0F0F0F0F0ULL) return -1;
    v = v * 10 + (v >> 8);
    return (int64_t)(((v & 0x000000FF000000FFULL) * 0x000F424000000064ULL + ((v >> 16) & 0x000000FF000000FFULL) * 0x0000271000000001ULL) >> 32);
}

/* A plain decimal → its value × 10^scale. It has an optional minus, digits and at most one point, at most 64 bytes, is exact
   at this scale and has at most 18 digits then. */
static int any_decimal(const uint8_t *at, const uint8_t *stop, int64_t scale, int64_t *value) {
    if (stop - at > 64) return 0;
    int minus = at < stop && *at == '-';
    at += minus;
    const int64_t most = 1000000000000000000LL;
    int64_t number = 0, places = -1, digits = 0;
    for (; at < stop; at++) {
        unsigned digit = (unsigned)*at - '0';
        if (digit > 9) {
            if (*at != '.' || places >= 0) return 0;
            places = 0;
            continue;
        }
        digits++;
        if (places >= scale) { /* behind what is kept there may be noughts alone */
            if (digit) return 0;
            continue;
        }
        if (number >= most / 10) return 0;
        number = number * 10 + digit;
        if (places >= 0) places++;
    }
    if (!digits) return 0;
    for (int64_t k = places < 0 ? 0 : places; k < scale; k++) {
        if (number >= most / 10) return 0;
        number *= 10;
    }
    *value = minus ? -number : number;
    return 1;
}

/* Mostly it has at most eight bytes, no minus, and two decimals, one or none: then it is read at once. */
static inline int decimal(const uint8_t *at, const uint8_t *stop, int64_t scale, int64_t *value) {
    static const int64_t power[5] = {1, 10, 100, 1000, 10000};
    static const uint64_t stay[3] = {~0ULL, 0xFFULL << 56, 0xFFFFULL << 48}, move[3] = {0, (1ULL << 48) - 1, (1ULL << 40) - 1};
    static const uint64_t fill[3] = {0, 0x30, 0x30};
    int64_t length = stop - at;
    if (length <= 8) {
        uint64_t before = LOW[8 - length], word = (word_at(stop - 8) & ~before) | (0x3030303030303030ULL & before);
        int two = ((word >> 40) & 0xFF) == '.', places = two ? 2 : ((word >> 48) & 0xFF) == '.';
        if (places <= scale && scale <= 4) {
            int64_t number = eight((word & stay[places]) | ((word & move[places]) << 8) | fill[places]);
            if (number >= 0) {
                *value = number * power[scale - places];
                return 1;
            }
        }
    }
    return any_decimal(at, stop, scale, value);
}

/* CCYYMMDD → days since 1970, from 1800 to 2199 */
static inline int date(const uint8_t *at, const uint8_t *stop, int32_t *days) {
    static const uint8_t month_days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (stop - at != 8) return 0;
    int64_t number = eight(word_at(at));
    if (number < 18000000 || number >= 22000000) return 0;
    int all = (int)number, year = all / 10000, month = all / 100 % 100, day = all % 100;
    if (month < 1 || month > 12 || day < 1) return 0;
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > month_days[month] + (month == 2 && leap)) return 0;
    int y = year - (month <= 2), century = y / 100;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    *days = 365 * y + y / 4 - century + century / 4 + of_year - 719468;
    return 1;
}

static inline __attribute__((always_inline)) void texts(const Scan *given_scan, Column *result, const Block *block, int64_t low, int64_t high, const int how) {
    const Scan scan = *given_scan;
    const Column column = *result;
    int32_t *restrict offsets = column.values, *restrict from = column.from;
    int64_t bytes = column.bytes, given = 0;
    for (int64_t first = low; first < high; first += 8) {
        unsigned bits = 0;
        int64_t last = first + 8 < high ? first + 8 : high;
        for (int64_t row = first; row < last; row++) {
            int64_t start, stop;
            span(&scan, &column, block, how, row, &start, &stop);
            from[row] = (int32_t)start;
            bytes += stop - start;
            offsets[row + 1] = (int32_t)bytes;
            unsigned has = stop > start;
            given += has;
            bits |= has << (row - first);
        }
        column.valid[first >> 3] = (uint8_t)bits;
    }
    result->bytes = bytes;
    result->given += given;
    result->nulls += high - low - given;
}

static inline __attribute__((always_inline)) void numbers(const Scan *given_scan, Column *result, const Block *block, int64_t low, int64_t high, const int how, const int kind) {
    const Scan scan = *given_scan;
    const Column column = *result;
    int64_t *restrict wide = column.values;
    int32_t *restrict narrow = column.values;
    int64_t given = 0, good = 0;
    for (int64_t first = low; first < high; first += 8) {
        unsigned bits = 0;
        int64_t last = first + 8 < high ? first + 8 : high;
        for (int64_t row = first; row < last; row++) {
            int64_t start, stop, value = 0;
            int32_t days = 0;
            unsigned has = 0;
            span(&scan, &column, block, how, row, &start, &stop);
            if (stop > start) {
                const uint8_t *from = scan.buffer + start, *to = scan.buffer + stop;
                given++;
                has = (unsigned)(kind == DATE ? date(from, to, &days) : decimal(from, to, column.scale, &value));
            }
            good += has;
            bits |= has << (row - first);
            if (kind == DATE) narrow[row] = days;
            else if (kind == INTEGER) wide[row] = value;
            else wide[2 * row] = value, wide[2 * row + 1] = value >> 63;
        }
        column.valid[first >> 3] = (uint8_t)bits;
    }
    result->given += given;
    result->nulls += high - low - good;
    result->wrong += given - good;
}

static inline __attribute__((always_inline)) void column_by(const Scan *scan, Column *column, const Block *block, int64_t low, int64_t high, const int how) {
    switch (column->kind) {
    case TEXT: texts(scan, column, block, low, high, how); break;
    case DATE: numbers(scan, column, block, low, high, how, DATE); break;
    case INTEGER: numbers(scan, column, block, low, high, how, INTEGER); break;
    default: numbers(scan, column, block, low, high, how, DECIMAL);
    }
}

static void look_at_segments(const Scan *scan, const Column *column, Block *block, int64_t low, int64_t high) {
    block->segments = column->segments;
    block->low = low, block->high = high;
    block->element = 0;
    for (int64_t row = low; row < high; row++) {
        int64_t segment = column->segments[row], k = row - low;
        int there = (uint64_t)segment < (uint64_t)scan->n;
        block->first[k] = there ? scan->base[segment] : 0;
        block->have[k] = there ? scan->counts[segment] : 0;
    }
}

static void look_at_element(const Scan *scan, const Column *column, Block *block, int64_t low, int64_t high) {
    block->element = column->elements ? -1 : column->element;
    block->elements = column->elements;
    for (int64_t row = low; row < high; row++) {
        int64_t a = PAD, b = PAD, k = row - low;
        if (!element_of(scan, block, k, column->elements ? column->elements[row] : column->element, &a, &b)) a = b = PAD;
        block->start[k] = a;
        block->stop[k] = b;
        if (b - a <= 64) block->separators[k] = separators_of(scan->buffer + a, b - a, (uint8_t)scan->component);
    }
}

/* Ask for what the rows of the next blocks will read: marks two blocks ahead, bytes one. */
static void ahead(const Scan *scan, const Column *column, int64_t low) {
    for (int64_t row = low + 2 * BLOCK; row < low + 3 * BLOCK && row < column->n; row++) {
        int64_t segment = column->segments[row];
        if ((uint64_t)segment < (uint64_t)scan->n) __builtin_prefetch(&scan->marks[scan->base[segment]]);
    }
    for (int64_t row = low + BLOCK; row < low + 2 * BLOCK && row < column->n; row++) {
        int64_t segment = column->segments[row];
        if ((uint64_t)segment >= (uint64_t)scan->n) continue;
        int64_t first = scan->base[segment];
        __builtin_prefetch(scan->buffer + scan->marks[first]);
        __builtin_prefetch(scan->buffer + scan->marks[first + scan->counts[segment] - 1]);
    }
}

static int64_t most_rows(const Column *columns, int64_t many) {
    int64_t most = 0;
    for (int64_t i = 0; i < many; i++) most = columns[i].n > most ? columns[i].n : most;
    return most;
}

/* Columns of numbers and dates, and where the texts of the others lie and how many bytes they take. Those of the same segments,
   and of the same element by components, are best given one after another. */
void x12_columns(const Scan *scan, Column *columns, int64_t many) {
    int64_t most = most_rows(columns, many);
    for (int64_t i = 0; i < many; i++)
        if (columns[i].kind == TEXT) *(int32_t *)columns[i].values = 0;
    Block block;
    for (int64_t low = 0; low < most; low += BLOCK) {
        block.segments = 0;
        for (int64_t i = 0; i < many; i++) {
            Column *column = &columns[i];
            int64_t high = low + BLOCK < column->n ? low + BLOCK : column->n;
            if (low >= high) continue;
            if (column->starts) {
                column_by(scan, column, &block, low, high, BY_SPANS);
                continue;
            }
            if (column->segments != block.segments || high != block.high) {
                ahead(scan, column, low);
                look_at_segments(scan, column, &block, low, high);
            }
            if (!column->component) column_by(scan, column, &block, low, high, BY_ELEMENT);
            else {
                int known = column->elements ? block.element < 0 && block.elements == column->elements : block.element > 0 && block.element == column->element;
                if (!known) look_at_element(scan, column, &block, low, high);
                column_by(scan, column, &block, low, high, BY_COMPONENT);
            }
        }
    }
}

/* The bytes of the columns of texts that have room for them. */
void x12_gather(const Scan *scan, const Column *columns, int64_t many) {
    const uint8_t *buffer = scan->buffer;
    int64_t most = most_rows(columns, many);
    for (int64_t low = 0; low < most; low += BLOCK)
        for (int64_t i = 0; i < many; i++) {
            const Column *column = &columns[i];
            if (column->kind != TEXT || !column->data) continue;
            const int32_t *restrict offsets = column->values, *restrict starts = column->from;
            uint8_t *data = column->data;
            int64_t high = low + BLOCK < column->n ? low + BLOCK : column->n;
            for (int64_t row = low; row < high; row++) {
                const uint8_t *from = buffer + starts[row];
                uint8_t *to = data + offsets[row];
                int64_t length = offsets[row + 1] - offsets[row];
                if (length <= 16) __builtin_memcpy(to, from, 16); /* the pad and the spare room allow it */
                else for (int64_t k = 0; k < length; k += 8) { /* ends at most 7 bytes after the text */
                    uint64_t word = word_at(from + k);
                    __builtin_memcpy(to + k, &word, 8);
                }
            }
        }
}

/* ---- rows of pieces --------------------------------------------------------------------------------------------- */

/* A piece of each row: the row's own text of a column, or the one that its number names, between two texts for all of them. */
typedef struct {
    const uint8_t *before; /* with 16 bytes behind it that may be read */
    int64_t before_size;
    const uint8_t *after; /* as before */
    int64_t after_size;
    const int32_t *offsets; /* count + 1, into data; 0: no column */
    const uint8_t *data;
    int64_t count, readable; /* so many bytes of data may be read */
    const int64_t *numbers;
    const uint8_t *where; /* 0: in every row */
} Piece;

/* Where each row's bytes begin (rows + 1 offsets), and how many bytes there are in all; -1: a number names no text, -2: more
   bytes than offsets can say. */
int64_t x12_measure(const Piece *pieces, int64_t many, int64_t rows, int32_t *offsets) {
    uint32_t *lengths = (uint32_t *)offsets + 1; /* may run over until `most` is looked at */
    __builtin_memset(offsets, 0, (size_t)(rows + 1) * sizeof *offsets);
    int64_t most = 0; /* bytes of a row that has the longest of each piece */
    for (int64_t p = 0; p < many; p++) {
        const Piece piece = pieces[p];
        int64_t longest = 0;
        if (piece.before_size + piece.after_size > INT32_MAX - most) return -2;
        int32_t always = (int32_t)(piece.before_size + piece.after_size);
        if (!piece.offsets) {
            if (!piece.where) for (int64_t row = 0; row < rows; row++) lengths[row] += (uint32_t)always;
            else for (int64_t row = 0; row < rows; row++) lengths[row] += piece.where[row] ? (uint32_t)always : 0;
        } else if (!piece.numbers) {
            if (piece.count < rows) return -1;
            for (int64_t row = 0; row < rows; row++) {
                int32_t length = piece.offsets[row + 1] - piece.offsets[row], here = !piece.where || piece.where[row];
                longest = length > longest ? length : longest;
                lengths[row] += here ? (uint32_t)always + (uint32_t)length : 0;
            }
        } else for (int64_t row = 0; row < rows; row++) {
            if (piece.where && !piece.where[row]) continue;
            int64_t number = piece.numbers[row];
            if ((uint64_t)number >= (uint64_t)piece.count) return -1;
            int32_t length = piece.offsets[number + 1] - piece.offsets[number];
            longest = length > longest ? length : longest;
            lengths[row] += (uint32_t)always + (uint32_t)length;
        }
        most += always + longest;
        if (most > INT32_MAX) return -2; /* a row's length might be more than it can hold */
    }
    int64_t total = 0;
    for (int64_t row = 0; row < rows; row++) {
        total += lengths[row];
        if (total > INT32_MAX) return -2;
        lengths[row] = (uint32_t)total;
    }
    return total;
}

/* `near`: there are 16 bytes behind the text that may be read */
static inline __attribute__((always_inline)) uint8_t *copied(uint8_t *out, const uint8_t *text, int64_t length, int near) {
    if (near) for (int64_t k = 0; k < length; k += 16) __builtin_memcpy(out + k, text + k, 16); /* what is too much is written over */
    else for (int64_t k = 0; k < length; k++) out[k] = text[k];
    return out + length;
}

static inline int64_t ends_in(const uint8_t *text, int64_t length, uint8_t end) {
    static const vector16 PLACES = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    int64_t found = 0, at = 0;
    vector16 bytes;
    if (length < 16) {
        for (; at < length; at++) found += text[at] == end;
        return found;
    }
    while (at < length) {
        vector16 counts = 0; /* each of them up to 255 */
        for (int64_t block = 0; block < 254 && at + 16 <= length; block++, at += 16) {
            __builtin_memcpy(&bytes, text + at, 16);
            counts -= (vector16)(bytes == (vector16)end);
        }
        if (at < length && length - at < 16) { /* the last 16 bytes, less those that were looked at */
            __builtin_memcpy(&bytes, text + length - 16, 16);
            counts -= (vector16)(bytes == (vector16)end) & (vector16)(PLACES >= (vector16)(uint8_t)(16 - (length - at)));
            at = length;
        }
        uint64_t halves[2];
        __builtin_memcpy(halves, &counts, 16);
        for (int half = 0; half < 2; half++) {
            uint64_t pairs = (halves[half] & 0x00FF00FF00FF00FFULL) + (halves[half] >> 8 & 0x00FF00FF00FF00FFULL);
            found += (int64_t)(pairs * 0x0001000100010001ULL >> 48);
        }
    }
    return found;
}

/* How many terminators each row's pieces hold (added to `counts`). A column that holds none at all, which one look tells, is not
   gone through row by row. Numbers and sizes were held against each other by x12_measure. */
void x12_ends(const Piece *pieces, int64_t many, int64_t rows, int64_t end, int32_t *counts) {
    for (int64_t p = 0; p < many; p++) {
        const Piece piece = pieces[p];
        int32_t always = (int32_t)(ends_in(piece.before, piece.before_size, (uint8_t)end) + ends_in(piece.after, piece.after_size, (uint8_t)end));
        int some = 0;
        if (piece.offsets)
            for (int64_t at = piece.offsets[0], stop = piece.offsets[piece.count]; at < stop && !some; at += 4096)
                some = ends_in(piece.data + at, stop - at < 4096 ? stop - at : 4096, (uint8_t)end) > 0;
        if (!always && !some) continue;
        for (int64_t row = 0; row < rows; row++) {
            if (piece.where && !piece.where[row]) continue;
            counts[row] += always;
            if (!some) continue;
            int64_t number = piece.numbers ? piece.numbers[row] : row, from = piece.offsets[number];
            counts[row] += (int32_t)ends_in(piece.data + from, piece.offsets[number + 1] - from, (uint8_t)end);
        }
    }
}

static inline __attribute__((always_inline)) uint8_t *laid(const Piece *pieces, int64_t many, int64_t row, uint8_t *out) {
    for (const Piece *piece = pieces; piece < pieces + many; piece++) {
        if (piece->where && !piece->where[row]) continue;
        if (piece->before_size) out = copied(out, piece->before, piece->before_size, 1);
        if (!piece->offsets) continue;
        int64_t number = piece->numbers ? piece->numbers[row] : row;
        int64_t from = piece->offsets[number], to = piece->offsets[number + 1];
        out = copied(out, piece->data + from, to - from, to + 16 <= piece->readable);
        if (piece->after_size) out = copied(out, piece->after, piece->after_size, 1);
    }
    return out;
}

/* The bytes of the rows, one after another: as many as were measured, and up to 16 more are written over. */
void x12_fill(const Piece *pieces, int64_t many, int64_t rows, uint8_t *out) {
    for (int64_t row = 0; row < rows; row++) out = laid(pieces, many, row, out);
}

/* Write to each page: one that is read before it is written is had twice. */
void x12_touch(uint8_t *out, int64_t size) {
    for (int64_t at = 0; at < size; at += 4096) ((volatile uint8_t *)out)[at] = 0;
}

#define AHEAD 8

/* The bytes of each row at its place of `out`, which has `room`: 16 bytes behind each row are there and stay as they were. 0 where a
   place is none; then nothing more is written. `offsets` are those measured. */
int64_t x12_fill_at(const Piece *pieces, int64_t many, int64_t rows, const int32_t *offsets, const int64_t *places, uint8_t *out, int64_t room) {
    for (int64_t row = 0; row < rows; row++) {
        int64_t place = places[row], length = offsets[row + 1] - offsets[row];
        if (row + AHEAD < rows) /* the places lie here and there: ask for them ahead (a third of the time) */
            for (int64_t at = 0, most = offsets[row + AHEAD + 1] - offsets[row + AHEAD] + 16; at < most; at += 64)
                __builtin_prefetch((const void *)((uintptr_t)out + (uintptr_t)(places[row + AHEAD] + at)), 1);
        if (place < 0 || place > room - length - 16) return 0;
        uint8_t behind[16];
        __builtin_memcpy(behind, out + place + length, 16);
        laid(pieces, many, row, out + place);
        __builtin_memcpy(out + place + length, behind, 16);
    }
    return 1;
}

/* Texts that lie one behind the other: 1 where a small letter is among them, 2 where one begins or ends with a blank, 4 where one
   that is null (its bit, from `bit` on, is not set) has bytes all the same. */
int64_t x12_look(const int32_t *offsets, int64_t many, const uint8_t *data, const uint8_t *valid, int64_t bit) {
    uint8_t small = 0, blanks = 0;
    for (int64_t at = many ? offsets[0] : 0, stop = many ? offsets[many] : 0; at < stop; at++) {
        small |= (uint8_t)(data[at] - 'a') < 26;
        blanks |= data[at] == ' ';
    }
    int64_t found = small;
    for (int64_t i = 0; blanks && i < many && found < 2; i++)
        if (offsets[i + 1] > offsets[i] && (data[offsets[i]] == ' ' || data[offsets[i + 1] - 1] == ' ')) found |= 2;
    for (int64_t i = 0; valid && i < many && found < 4; i++)
        if (offsets[i + 1] > offsets[i] && !(valid[(bit + i) >> 3] >> ((bit + i) & 7) & 1)) found |= 4;
    return found;
}

/* ---- columns of texts, one look ---------------------------------------------------------------------------------- */

/* A column of texts that lie one behind the other. */
typedef struct {
    const int32_t *offsets; /* rows + 1, into data */
    const uint8_t *data;
} Texts;

/* Are these bytes the same? Only they are read. */
static inline int same(const uint8_t *one, const uint8_t *other, int64_t length) {
    int64_t at = 0;
    for (; at + 8 <= length; at += 8)
        if (word_at(one + at) != word_at(other + at)) return 0;
    if (at == length) return 1;
    if (length >= 8) return word_at(one + length - 8) == word_at(other + length - 8);
    for (; at < length; at++)
        if (one[at] != other[at]) return 0;
    return 1;
}

static inline int same_text(const Texts *one, int64_t row, const Texts *other, int64_t number) {
    int64_t from = one->offsets[row], at = other->offsets[number], length = one->offsets[row + 1] - from;
    return length == other->offsets[number + 1] - at && same(one->data + from, other->data + at, length);
}

#define BLOCK_ALIKE 1024

/* Is each text the first one? */
int64_t x12_alike(const Texts *texts, int64_t rows) {
    if (!rows) return 1;
    const int32_t *offsets = texts->offsets;
    int32_t size = offsets[1] - offsets[0];
    for (int64_t low = 0; low < rows; low += BLOCK_ALIKE) {
        int64_t high = low + BLOCK_ALIKE < rows ? low + BLOCK_ALIKE : rows;
        int32_t other = 0;
        for (int64_t row = low; row < high; row++) other |= (offsets[row + 1] - offsets[row]) ^ size;
        if (other) return 0;
        /* of equal lengths, and each as the one before it */
        const uint8_t *first = texts->data + offsets[low];
        if (low && !same(first - size, first, size)) return 0;
        if (!same(first, first + size, (high - low - 1) * size)) return 0;
    }
    return 1;
}

/* For each row the place of its text among the `ids`, which are all different, if the rows stand in the order of the ids; 0 where
   they do not. */
int64_t x12_follow(const Texts *texts, int64_t rows, const Texts *ids, int64_t many, int64_t *places) {
    for (int64_t row = 0, place = 0; row < rows; row++) {
        while (place < many && !same_text(texts, row, ids, place)) place++;
        if (place == many) return 0;
        places[row] = place;
    }
    return 1;
}

static inline uint64_t mixed(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL;
    return hash ^ hash >> 29;
}

static inline uint64_t hashed(uint64_t hash, const uint8_t *text, int64_t length) {
    uint64_t last = (uint64_t)length << 56;
    if (length >= 8) {
        for (int64_t at = 0; at + 8 < length; at += 8) hash = mixed(hash, word_at(text + at));
        return mixed(hash ^ last, word_at(text + length - 8));
    }
    if (length >= 4) {
        uint32_t one, other;
        __builtin_memcpy(&one, text, 4);
        __builtin_memcpy(&other, text + length - 4, 4);
        last ^= one | (uint64_t)other << 24;
    } else if (length) last ^= text[0] | (uint64_t)text[length >> 1] << 8 | (uint64_t)text[length - 1] << 16;
    return mixed(hash, last);
}

/* Rows, where they are asked for, that say the same in all columns get the same number, numbers by first appearance; `firsts`: the
   first row of each. Returns how many there are. `slots` has room for 2^bits of them, which is more than there are rows, and holds -1. */
int64_t x12_group(const Texts *columns, int64_t many, int64_t rows, const uint8_t *where, int64_t bits, int64_t *slots, int64_t *numbers, int64_t *firsts) {
    int64_t found = 0;
    uint64_t most = (1ULL << bits) - 1;
    for (int64_t row = 0; row < rows; row++) {
        if (where && !where[row]) continue;
        uint64_t hash = 0;
        for (int64_t c = 0; c < many; c++) {
            int64_t from = columns[c].offsets[row];
            hash = hashed(hash, columns[c].data + from, columns[c].offsets[row + 1] - from);
        }
        hash ^= hash >> 32;
        /* a slot: the upper half of the hash, and the number */
        for (uint64_t slot = hash & most;; slot = (slot + 1) & most) {
            if (slots[slot] < 0) {
                slots[slot] = (int64_t)(hash >> 33 << 32) | found;
                numbers[row] = found;
                firsts[found++] = row;
                break;
            }
            if ((uint64_t)slots[slot] >> 32 != hash >> 33) continue;
            int64_t number = slots[slot] & 0xFFFFFFFF, c = 0;
            while (c < many && same_text(&columns[c], row, &columns[c], firsts[number])) c++;
            if (c == many) {
                numbers[row] = number;
                break;
            }
        }
    }
    return found;
}

static const uint64_t TENS[19] = {
    1ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL, 10000000000ULL,
    100000000000ULL, 1000000000000ULL, 10000000000000ULL, 100000000000000ULL, 1000000000000000ULL, 10000000000000000ULL,
    100000000000000000ULL, 1000000000000000000ULL,
};

/* Numbers of `scale` decimal places (at most 18), each the first of two words, as X12 writes them: no zeros and no point at their end.
   At most 21 bytes each, and up to 24 more are written over; returns how many in all. */
int64_t x12_amounts(const int64_t *numbers, int64_t rows, int64_t scale, int32_t *offsets, uint8_t *data) {
    uint8_t *out = data, digits[48] = {0};
    offsets[0] = 0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t number = numbers[2 * row];
        uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number, whole = left / TENS[scale];
        if (number < 0) *out++ = '-';
        left -= whole * TENS[scale]; /* what stands behind the point */
        int64_t places = left ? scale : 0, at = 24;
        for (; places && left % 10 == 0; places--) left /= 10;
        for (int64_t k = 0; k < places; k++, left /= 10) digits[--at] = (uint8_t)('0' + left % 10);
        if (places) digits[--at] = '.';
        do digits[--at] = (uint8_t)('0' + whole % 10);
        while (whole /= 10);
        __builtin_memcpy(out, digits + at, 24); /* what is too much is written over */
        out += 24 - at;
        offsets[row + 1] = (int32_t)(out - data);
    }
    return out - data;
}
