// Vectors of eight BF16, and E4M3. Put before the sources that use them.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// The eight numbers of sixteen bytes.
__device__ __forceinline__ void unpack(uint4 v, float (&x)[8]) {
    u32 words[4] = {v.x, v.y, v.z, v.w};
    #pragma unroll
    for (int i = 0; i < 4; i++) {
        x[2 * i] = __uint_as_float(words[i] << 16);
        x[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
}

// Two numbers as BF16, to nearest, ties to even; the first in the lower half.
__device__ __forceinline__ u32 pack2(float low, float high) {
#if __CUDA_ARCH__ >= 800
    u32 word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
#else
    u32 a = __float_as_uint(low), b = __float_as_uint(high);
    a += 0x7fffu + ((a >> 16) & 1u);
    b += 0x7fffu + ((b >> 16) & 1u);
    return (a >> 16) | (b & 0xffff0000u);
#endif
}

__device__ __forceinline__ uint4 pack(const float (&x)[8]) {
    return make_uint4(pack2(x[0], x[1]), pack2(x[2], x[3]), pack2(x[4], x[5]), pack2(x[6], x[7]));
}

// Two numbers as E4M3, to nearest, ties to even, saturating at 448; the first in the lower byte.
__device__ __forceinline__ u32 narrow2(float low, float high) {
#if __CUDA_ARCH__ >= 890
    u16 both;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(both) : "f"(high), "f"(low));
    return both;
#else
    u32 both = 0;
    #pragma unroll
    for (int i = 0; i < 2; i++) {
        float x = i == 0 ? low : high, a = fminf(fabsf(x), 448.0f);
        u32 bits = __float_as_uint(a);
        bits += 0x7ffffu + ((bits >> 20) & 1u);                                // three bits of fraction are kept
        u32 code = a < 0.015625f ? (u32)(int)rintf(a * 512.0f) : (bits >> 20) - (120u << 3);   // biases 127 and 7
        both |= (code | ((__float_as_uint(x) >> 24) & 0x80u)) << (8 * i);
    }
    return both;
#endif
}

__device__ __forceinline__ u32 narrow4(float a, float b, float c, float d) {
    return narrow2(a, b) | narrow2(c, d) << 16;
}
