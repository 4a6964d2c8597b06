#include "kernels/dispatch.h"

#include <cstdlib>
#include <cstring>

#if defined(HANDGRAD_X86)
#include <cpuid.h>
#endif

namespace handgrad {

#define HG_DECLARE(isa)                    \
    namespace isa {                        \
    void fill(GemmKernels<float>&);        \
    void fill(GemmKernels<double>&);       \
    void fill(ThinKernels<float>&);        \
    void fill(ThinKernels<double>&);       \
    void fill(RowKernels<float>&);         \
    void fill(RowKernels<double>&);        \
    void fill(PoolKernels<float>&);        \
    void fill(PoolKernels<double>&);       \
    void fill(GroupKernels<float>&);       \
    void fill(GroupKernels<double>&);      \
    void fill(FlatKernels<float>&);        \
    void fill(FlatKernels<double>&);       \
    void fill(CurveKernels<float>&);       \
    void fill(CurveKernels<double>&);      \
    void fill(WinogradKernels&);           \
    void fill(StemKernels&);               \
    }
HG_DECLARE(portable)
#if defined(HANDGRAD_X86)
HG_DECLARE(avx2)
HG_DECLARE(avx512)
#endif

namespace {

struct Tables {
    Kernels<float> f32;
    Kernels<double> f64;
};

#define HG_FILL(isa)                   \
    [](Tables& tables) {               \
        isa::fill(tables.f32.gemm);    \
        isa::fill(tables.f64.gemm);    \
        isa::fill(tables.f32.thin);    \
        isa::fill(tables.f64.thin);    \
        isa::fill(tables.f32.rows);    \
        isa::fill(tables.f64.rows);    \
        isa::fill(tables.f32.pool);    \
        isa::fill(tables.f64.pool);    \
        isa::fill(tables.f32.grouped); \
        isa::fill(tables.f64.grouped); \
        isa::fill(tables.f32.flat);    \
        isa::fill(tables.f64.flat);    \
        isa::fill(tables.f32.curves);  \
        isa::fill(tables.f64.curves);  \
        isa::fill(tables.f32.winograd); \
        isa::fill(tables.f32.stem);     \
    }

struct Isa {
    const char* name;
    bool (*runs)();
    void (*fill)(Tables&);
};

#if defined(HANDGRAD_X86)
constexpr unsigned kFma = 1u << 12, kXsave = 1u << 27;                                    // leaf 1, ecx
constexpr unsigned kAvx2 = 1u << 5, kAvx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // leaf 7, ebx: F, DQ, BW, VL
constexpr unsigned kYmm = 0x6, kZmm = 0xe6;                                               // registers that are kept

// Whether the processor has these instructions and the system keeps these registers when it switches between
// processes.  The compilers' own test needs a library that clang-cl does not link.
bool has(unsigned extensions, unsigned registers) {
    unsigned a, b, c, d, kept, upper;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & kFma) || !(c & kXsave)) return false;
    asm volatile("xgetbv" : "=a"(kept), "=d"(upper) : "c"(0));
    return (kept & registers) == registers && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & extensions) == extensions;
}
#endif

const Isa kKnown[] = {
#if defined(HANDGRAD_X86)
    {"avx512", [] { return has(kAvx2 | kAvx512, kZmm); }, HG_FILL(avx512)},
    {"avx2", [] { return has(kAvx2, kYmm); }, HG_FILL(avx2)},
#endif
    {"portable", [] { return true; }, HG_FILL(portable)},
};
constexpr int kCount = sizeof kKnown / sizeof kKnown[0];

struct State {
    Tables tables;
    const char* name = nullptr;
    const char* names[kCount + 1] = {};

    State() {
        int found = 0;
        for (const Isa& isa : kKnown)
            if (isa.runs()) names[found++] = isa.name;
        const char* wanted = std::getenv("HANDGRAD_ISA");
        if (!wanted || !choose(wanted)) choose(names[0]);
    }

    bool choose(const char* wanted) {
        for (const Isa& isa : kKnown) {
            if (std::strcmp(isa.name, wanted) != 0 || !isa.runs()) continue;
            isa.fill(tables);
            name = isa.name;
            return true;
        }
        return false;
    }
};

State& state() {
    static State instance;
    return instance;
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
    return state().tables.f32;
}
template <>
const Kernels<double>& kernels<double>() {
    return state().tables.f64;
}

const char* isa_name() { return state().name; }
const char* const* isa_names() { return state().names; }
bool choose_isa(const char* name) { return state().choose(name); }

}  // namespace handgrad
