// Layers of units that weigh the outputs of units before them.
//
// Rows pass side by side through all layers, a lane each, so that every sum of a row is made in the order of its weights,
// as if row by row: the results are the same to the last place. Eight units share what is loaded of their sources, and a
// block of lanes stays in the cache from the first layer to the last.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include <nanobind/stl/vector.h>

#include "arrays.hpp"
#include "exponential.hpp"

namespace {

constexpr int64_t kLanes = 32;
constexpr int64_t kUnits = 8;  // Units computed together.

enum Function : int32_t {
    kIdentity, kThreshold, kLogistic, kTanh, kExponential, kReciprocal, kSquare, kGauss, kSine, kCosine, kElliott,
    kArctan, kRectifier, kRadial
};
enum Normalization : int32_t { kNone, kSoftmax, kSimplemax };

// Units with the same sources. Their weights are packed: eight units of a source, then of the next source.
struct Group {
    int64_t source, sources, unit, units, weight;
};

struct Layer {
    int64_t group, groups, unit, units;
    int32_t function, normalization;
};

template <class T>
struct Chunk {
    const T* block;
    const int32_t* sources;
    int64_t count;
    const T* weights;
    T* sums;  // (kUnits, kLanes)
};

// A piece of a row of lanes; compilers keep vectors of this kind in registers, which arrays of numbers are too long for.
template <class T>
struct Piece {
    typedef T type __attribute__((vector_size(64)));
    static constexpr int64_t lanes = 64 / sizeof(T);
};

template <class T, bool radial>
[[gnu::always_inline]] inline void add_up(const Chunk<T>& chunk) {
    using V = typename Piece<T>::type;
    constexpr int64_t kPieces = kLanes / Piece<T>::lanes;
    for (int64_t piece = 0; piece < kPieces; ++piece) {
        V sums[kUnits] = {};
        const T* block = chunk.block + piece * Piece<T>::lanes;
        for (int64_t source = 0; source < chunk.count; ++source) {
            V lanes;
            std::memcpy(&lanes, block + static_cast<int64_t>(chunk.sources[source]) * kLanes, sizeof(V));
            for (int64_t unit = 0; unit < kUnits; ++unit) {
                const T weight = chunk.weights[source * kUnits + unit];
                if constexpr (radial) {
                    const V distance = lanes - weight;
                    sums[unit] += distance * distance;
                } else {
                    sums[unit] += lanes * weight;
                }
            }
        }
        for (int64_t unit = 0; unit < kUnits; ++unit) {
            std::memcpy(chunk.sums + unit * kLanes + piece * Piece<T>::lanes, &sums[unit], sizeof(V));
        }
    }
}

template <class T>
[[gnu::always_inline]] inline void raise(T* lanes) {
    double powers[kLanes];  // A loop each: those of one type only are made of vector instructions.
    for (int64_t lane = 0; lane < kLanes; ++lane) powers[lane] = static_cast<double>(lanes[lane]);
    for (int64_t lane = 0; lane < kLanes; ++lane) powers[lane] = exponential(powers[lane]);
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = static_cast<T>(powers[lane]);
}

template <class T, class F>
[[gnu::always_inline]] inline void each(T* lanes, F function) {
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = function(lanes[lane]);
}

template <class T>
struct Shape {
    T threshold, leakage, divisor, addend;
};

template <class T>
[[gnu::always_inline]] inline void activate(int32_t function, const Shape<T>& shape, T* lanes) {
    constexpr T one = 1;
    switch (function) {
        case kThreshold: each(lanes, [&](T z) { return z > shape.threshold ? one : T(0); }); break;
        case kLogistic:
            each(lanes, [](T z) { return -z; });
            raise(lanes);
            each(lanes, [](T power) { return one / (one + power); });
            break;
        case kTanh: each(lanes, [](T z) { return static_cast<T>(std::tanh(static_cast<double>(z))); }); break;
        case kExponential: raise(lanes); break;
        case kReciprocal: each(lanes, [](T z) { return one / z; }); break;
        case kSquare: each(lanes, [](T z) { return z * z; }); break;
        case kGauss:
            each(lanes, [](T z) { return -(z * z); });
            raise(lanes);
            break;
        case kSine: each(lanes, [](T z) { return static_cast<T>(std::sin(static_cast<double>(z))); }); break;
        case kCosine: each(lanes, [](T z) { return static_cast<T>(std::cos(static_cast<double>(z))); }); break;
        case kElliott: each(lanes, [](T z) { return z / (one + std::abs(z)); }); break;
        case kArctan:
            each(lanes, [](T z) { return static_cast<T>(2 * std::atan(static_cast<double>(z)) / M_PI); });
            break;
        case kRectifier:
            if (shape.leakage == 0) {  // Infinity times 0 would be no number.
                each(lanes, [](T z) { return z < 0 ? T(0) : z; });
            } else {
                each(lanes, [&](T z) { return z > 0 ? z : shape.leakage * z; });
            }
            break;
        case kRadial:
            each(lanes, [&](T z) { return shape.addend - z / shape.divisor; });
            raise(lanes);
            break;
        default: break;
    }
}

template <class T>
[[gnu::always_inline]] inline void normalize(int32_t normalization, T* units, int64_t count) {
    if (normalization == kNone) return;
    if (normalization == kSoftmax) {
        T largest[kLanes];
        std::copy_n(units, kLanes, largest);
        for (int64_t unit = 1; unit < count; ++unit) {
            for (int64_t lane = 0; lane < kLanes; ++lane) {
                largest[lane] = std::max(largest[lane], units[unit * kLanes + lane]);
            }
        }
        for (int64_t unit = 0; unit < count; ++unit) {
            for (int64_t lane = 0; lane < kLanes; ++lane) units[unit * kLanes + lane] -= largest[lane];
            raise(units + unit * kLanes);
        }
    }
    T sums[kLanes] = {};
    for (int64_t unit = 0; unit < count; ++unit) {
        for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += units[unit * kLanes + lane];
    }
    for (int64_t unit = 0; unit < count; ++unit) {
        for (int64_t lane = 0; lane < kLanes; ++lane) units[unit * kLanes + lane] /= sums[lane];
    }
}

template <class T>
struct Data {
    int64_t inputs = 0, units = 0;
    std::vector<int32_t> sources, outputs;
    std::vector<T> weights, thresholds, leakages, biases, divisors, addends;
    std::vector<Group> groups;
    std::vector<Layer> layers;
};

template <class T>
[[gnu::always_inline]] inline void pass(const Data<T>& data, T* block) {
    for (size_t index = 0; index < data.layers.size(); ++index) {
        const Layer& layer = data.layers[index];
        for (int64_t number = layer.group; number < layer.group + layer.groups; ++number) {
            const Group& group = data.groups[number];
            for (int64_t first = 0; first < group.units; first += kUnits) {
                T sums[kUnits * kLanes];
                const Chunk<T> chunk{block, data.sources.data() + group.source, group.sources,
                                     data.weights.data() + group.weight + first * group.sources, sums};
                if (layer.function == kRadial) {
                    add_up<T, true>(chunk);
                } else {
                    add_up<T, false>(chunk);
                }
                for (int64_t unit = first; unit < std::min(first + kUnits, group.units); ++unit) {
                    const int64_t place = group.unit + unit;
                    T* lanes = block + (data.inputs + place) * kLanes;
                    const T* own = sums + (unit - first) * kLanes;
                    const T bias = data.biases[place];
                    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = own[lane] + bias;
                    activate<T>(layer.function, {data.thresholds[index], data.leakages[index], data.divisors[place],
                                                 data.addends[place]}, lanes);
                }
            }
        }
        normalize(layer.normalization, block + (data.inputs + layer.unit) * kLanes, layer.units);
    }
}

// Functions are compiled for several instruction sets, which templates cannot be.
WIDEST void forward(const Data<double>& data, double* block) { pass(data, block); }
WIDEST void forward(const Data<float>& data, float* block) { pass(data, block); }

void check(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

template <class T>
class Network {
public:
    Network(int64_t inputs, Vector<int64_t> layer_groups, Vector<int32_t> functions, Vector<int32_t> normalizations,
            Vector<T> thresholds, Vector<T> leakages, Vector<int64_t> group_units, Vector<int64_t> group_sources,
            Vector<int32_t> sources, Vector<T> weights, Vector<T> biases, Vector<T> divisors, Vector<T> addends,
            Vector<int32_t> outputs)
    {
        data_.inputs = inputs;
        data_.sources.assign(sources.data(), sources.data() + sources.size());
        data_.outputs.assign(outputs.data(), outputs.data() + outputs.size());
        data_.thresholds.assign(thresholds.data(), thresholds.data() + thresholds.size());
        data_.leakages.assign(leakages.data(), leakages.data() + leakages.size());
        data_.biases.assign(biases.data(), biases.data() + biases.size());
        data_.divisors.assign(divisors.data(), divisors.data() + divisors.size());
        data_.addends.assign(addends.data(), addends.data() + addends.size());
        const size_t layers = layer_groups.size();
        check(functions.size() == layers && normalizations.size() == layers && data_.thresholds.size() == layers &&
                  data_.leakages.size() == layers,
              "each layer has a function, a normalization, a threshold and a leakage");
        check(group_sources.size() == group_units.size(), "each group has units and sources");
        int64_t group = 0, unit = 0, source = 0, weight = 0;
        for (size_t layer = 0; layer < layers; ++layer) {
            const int64_t first = group, first_unit = unit;
            for (; group < first + layer_groups.data()[layer]; ++group) {
                check(group < static_cast<int64_t>(group_units.size()), "there are fewer groups than the layers have");
                const int64_t units = group_units.data()[group], count = group_sources.data()[group];
                check(units > 0 && count >= 0 && source + count <= static_cast<int64_t>(data_.sources.size()) &&
                          weight + units * count <= static_cast<int64_t>(weights.size()),
                      "there are fewer sources or weights than the groups have");
                for (int64_t item = source; item < source + count; ++item) {
                    check(data_.sources[item] >= 0 && data_.sources[item] < inputs + unit, "a source comes after its unit");
                }
                data_.groups.push_back({source, count, unit, units, static_cast<int64_t>(data_.weights.size())});
                pack(weights.data() + weight, units, count);
                source += count, weight += units * count, unit += units;
            }
            data_.layers.push_back({first, group - first, first_unit, unit - first_unit, functions.data()[layer],
                               normalizations.data()[layer]});
        }
        data_.units = unit;
        check(data_.biases.size() == static_cast<size_t>(unit) && data_.divisors.size() == data_.biases.size() &&
                  data_.addends.size() == data_.biases.size(),
              "each unit has a bias, a divisor and an addend");
        for (const int32_t output : data_.outputs) check(output >= 0 && output < inputs + unit, "an output does not exist");
    }

    nb::object run(nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu> columns) const {
        check(static_cast<int64_t>(columns.shape(0)) == data_.inputs, "there is a column for each input");
        const int64_t rows = columns.shape(1);
        const size_t shape[2] = {data_.outputs.size(), static_cast<size_t>(rows)};
        T* out = new T[std::max<size_t>(shape[0] * shape[1], 1)];
        nb::capsule owner(out, [](void* pointer) noexcept { delete[] static_cast<T*>(pointer); });
        {
            nb::gil_scoped_release release;
            std::vector<T> block((data_.inputs + data_.units) * kLanes);
            for (int64_t row = 0; row < rows; row += kLanes) {
                const int64_t lanes = std::min(kLanes, rows - row);
                for (int64_t input = 0; input < data_.inputs; ++input) {
                    std::copy_n(columns.data() + input * rows + row, lanes, block.data() + input * kLanes);
                }
                forward(data_, block.data());
                for (size_t output = 0; output < data_.outputs.size(); ++output) {
                    std::copy_n(block.data() + data_.outputs[output] * kLanes, lanes, out + output * rows + row);
                }
            }
        }
        return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<2>>(out, 2, shape, owner));
    }

private:
    void pack(const T* weights, int64_t units, int64_t count) {
        for (int64_t first = 0; first < units; first += kUnits) {
            for (int64_t source = 0; source < count; ++source) {
                for (int64_t unit = first; unit < first + kUnits; ++unit) {
                    data_.weights.push_back(unit < units ? weights[unit * count + source] : T(0));
                }
            }
        }
    }

    Data<T> data_;
};

template <class T>
void bind(nb::module_& module, const char* name) {
    nb::class_<Network<T>>(module, name)
        .def(nb::init<int64_t, Vector<int64_t>, Vector<int32_t>, Vector<int32_t>, Vector<T>, Vector<T>, Vector<int64_t>,
                      Vector<int64_t>, Vector<int32_t>, Vector<T>, Vector<T>, Vector<T>, Vector<T>, Vector<int32_t>>(),
             nb::kw_only(), nb::arg("inputs"), nb::arg("layer_groups"), nb::arg("functions"),
             nb::arg("normalizations"), nb::arg("thresholds"), nb::arg("leakages"), nb::arg("group_units"),
             nb::arg("group_sources"), nb::arg("sources"), nb::arg("weights"), nb::arg("biases"), nb::arg("divisors"),
             nb::arg("addends"), nb::arg("outputs"))
        .def("run", &Network<T>::run, nb::arg("columns"));
}

}  // namespace

void register_dense(nb::module_& module) {
    bind<double>(module, "DoubleNetwork");
    bind<float>(module, "FloatNetwork");
}
