// Kernel machines: weighted sums of a kernel's values between rows and vectors.
//
// Thirty-two rows pass side by side through all vectors, a lane each, so that every sum of a row is made in the order of
// its terms, as if row by row: the results are the same to the last place. Distances are sums of squared differences and
// not of products, which would cancel where vectors are long.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "arrays.hpp"
#include "exponential.hpp"

namespace {

constexpr int64_t kLanes = 32;

enum Kind : int { kLinear, kPolynomial, kRadial, kSigmoid };

// One vector against the lanes: block is (width, kLanes).
template <class T>
[[gnu::always_inline]] inline void distances(const T* block, const T* vector, int64_t width, T* out) {
    T sums[kLanes] = {};
    for (int64_t feature = 0; feature < width; ++feature) {
        const T value = vector[feature];
        for (int64_t lane = 0; lane < kLanes; ++lane) {
            const T difference = block[feature * kLanes + lane] - value;
            sums[lane] += difference * difference;
        }
    }
    std::copy_n(sums, kLanes, out);
}

template <class T>
[[gnu::always_inline]] inline void products(const T* block, const T* vector, int64_t width, T* out) {
    T sums[kLanes] = {};
    for (int64_t feature = 0; feature < width; ++feature) {
        const T value = vector[feature];
        for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += block[feature * kLanes + lane] * value;
    }
    std::copy_n(sums, kLanes, out);
}

template <class T>
[[gnu::always_inline]] inline void radials(const T* block, const T* vectors, int64_t count, int64_t width, T gamma,
                                           double log_base, T* out) {
    for (int64_t vector = 0; vector < count; ++vector) {
        T* values = out + vector * kLanes;
        distances(block, vectors + vector * width, width, values);
        double powers[kLanes];  // A loop each: those of one type only are made of vector instructions.
        for (int64_t lane = 0; lane < kLanes; ++lane) powers[lane] = static_cast<double>(-gamma * values[lane]);
        for (int64_t lane = 0; lane < kLanes; ++lane) powers[lane] = exponential(log_base * powers[lane]);
        for (int64_t lane = 0; lane < kLanes; ++lane) values[lane] = static_cast<T>(powers[lane]);
    }
}

template <class T>
[[gnu::always_inline]] inline void all_products(const T* block, const T* vectors, int64_t count, int64_t width, T* out) {
    for (int64_t vector = 0; vector < count; ++vector) {
        products(block, vectors + vector * width, width, out + vector * kLanes);
    }
}

template <class T>
[[gnu::always_inline]] inline void weighted(const T* values, const int32_t* vectors, const T* weights, int64_t count,
                                            T intercept, T* out) {
    T sums[kLanes] = {};
    for (int64_t term = 0; term < count; ++term) {
        const T* value = values + static_cast<int64_t>(vectors[term]) * kLanes;
        for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += weights[term] * value[lane];
    }
    for (int64_t lane = 0; lane < kLanes; ++lane) out[lane] = sums[lane] + intercept;
}

// Functions are compiled for several instruction sets, which templates cannot be.
#define FOR_EACH_SET(T)                                                                                               \
    WIDEST void compute_radials(const T* block, const T* vectors, int64_t count, int64_t width, T gamma,              \
                                double log_base, T* out) {                                                            \
        radials<T>(block, vectors, count, width, gamma, log_base, out);                                               \
    }                                                                                                                 \
    WIDEST void compute_products(const T* block, const T* vectors, int64_t count, int64_t width, T* out) {            \
        all_products<T>(block, vectors, count, width, out);                                                           \
    }                                                                                                                 \
    WIDEST void compute_weighted(const T* values, const int32_t* vectors, const T* weights, int64_t count,            \
                                 T intercept, T* out) {                                                               \
        weighted<T>(values, vectors, weights, count, intercept, out);                                                 \
    }
FOR_EACH_SET(double)
FOR_EACH_SET(float)

template <class T>
T power(T base, double exponent) {
    if (exponent == 1.0) return base;
    if (exponent == 2.0) return base * base;
    return static_cast<T>(std::pow(static_cast<double>(base), exponent));
}

template <class T>
struct Kernel {
    Kind kind;
    T gamma, coef0;
    double degree, log_base;

    void values(const T* block, const T* vectors, int64_t count, int64_t width, T* out) const {
        if (kind == kRadial) {
            compute_radials(block, vectors, count, width, gamma, log_base, out);
            return;
        }
        compute_products(block, vectors, count, width, out);
        if (kind == kLinear) return;
        for (int64_t cell = 0; cell < count * kLanes; ++cell) {
            const T value = gamma * out[cell] + coef0;
            out[cell] = kind == kPolynomial ? power(value, degree)
                                            : static_cast<T>(std::tanh(static_cast<double>(value)));
        }
    }
};

// A single row would leave all lanes but one idle, so that vectors pass side by side, and the row is what they pass: a
// kernel's value is the same whichever of the two comes first.
template <class T>
void one_row(const Kernel<T>& kernel, const T* row, const T* vectors, int64_t count, int64_t width,
             std::vector<T>& values) {
    std::vector<T> block(std::max<int64_t>(width, 1) * kLanes);
    T results[kLanes];
    for (int64_t first = 0; first < count; first += kLanes) {
        const int64_t lanes = std::min(kLanes, count - first);
        for (int64_t lane = 0; lane < lanes; ++lane) {
            for (int64_t feature = 0; feature < width; ++feature) {
                block[feature * kLanes + lane] = vectors[(first + lane) * width + feature];
            }
        }
        kernel.values(block.data(), row, 1, width, results);
        std::copy_n(results, lanes, values.data() + first);
    }
}

template <class T>
nb::ndarray<nb::numpy, T> kernel_machines(Matrix<T> columns, Matrix<T> vectors, Vector<int64_t> ends,
                                          Vector<int32_t> terms, Vector<T> weights, Vector<T> intercepts, int kind,
                                          double gamma, double coef0, double degree, double log_base) {
    const auto width = static_cast<int64_t>(columns.shape(0)), rows = static_cast<int64_t>(columns.shape(1));
    const auto count = static_cast<int64_t>(vectors.shape(0)), machines = static_cast<int64_t>(ends.shape(0));
    if (static_cast<int64_t>(vectors.shape(1)) != width || terms.shape(0) != weights.shape(0) ||
        static_cast<int64_t>(intercepts.shape(0)) != machines || kind < kLinear || kind > kSigmoid) {
        throw std::invalid_argument("arrays do not fit together");
    }
    for (size_t term = 0; term < terms.shape(0); ++term) {
        if (terms(term) < 0 || terms(term) >= count) throw std::invalid_argument("a term names no vector");
    }
    for (int64_t machine = 0; machine < machines; ++machine) {
        const int64_t before = machine ? ends(machine - 1) : 0;
        if (ends(machine) < before || ends(machine) > static_cast<int64_t>(terms.shape(0))) {
            throw std::invalid_argument("a machine's terms are none");
        }
    }
    auto* out = new T[std::max<int64_t>(machines * rows, 1)];
    nb::capsule owner(out, [](void* pointer) noexcept { delete[] static_cast<T*>(pointer); });
    {
        nb::gil_scoped_release released;
        const Kernel<T> kernel{static_cast<Kind>(kind), static_cast<T>(gamma), static_cast<T>(coef0), degree, log_base};
        std::vector<T> block(std::max<int64_t>(width, 1) * kLanes);
        std::vector<T> values(std::max<int64_t>(count, 1) * (rows == 1 ? 1 : kLanes));
        T sums[kLanes];
        if (rows == 1) {
            one_row(kernel, columns.data(), vectors.data(), count, width, values);
            for (int64_t machine = 0; machine < machines; ++machine) {
                T sum = 0;
                for (int64_t term = machine ? ends(machine - 1) : 0; term < ends(machine); ++term) {
                    sum += weights(term) * values[terms(term)];
                }
                out[machine] = sum + intercepts(machine);
            }
        }
        for (int64_t first = 0; rows > 1 && first < rows; first += kLanes) {
            const int64_t lanes = std::min(kLanes, rows - first);
            for (int64_t feature = 0; feature < width; ++feature) {
                std::copy_n(columns.data() + feature * rows + first, lanes, block.data() + feature * kLanes);
            }
            kernel.values(block.data(), vectors.data(), count, width, values.data());
            for (int64_t machine = 0; machine < machines; ++machine) {
                const int64_t begin = machine ? ends(machine - 1) : 0;
                compute_weighted(values.data(), terms.data() + begin, weights.data() + begin, ends(machine) - begin,
                                 intercepts(machine), sums);
                std::copy_n(sums, lanes, out + machine * rows + first);
            }
        }
    }
    return nb::ndarray<nb::numpy, T>(out, {static_cast<size_t>(machines), static_cast<size_t>(rows)}, owner);
}

}  // namespace

void register_support_vectors(nb::module_& module) {
    const char* doc = "Sums of weighted kernel values, shape (machines, rows); see the stub.";
    module.def("kernel_machines", &kernel_machines<double>, doc);
    module.def("kernel_machines", &kernel_machines<float>, doc);
}
