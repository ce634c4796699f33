"""Names for containers that were given none, as `brave_hopper`."""

from __future__ import annotations

import posix

_QUALITIES = (
    "able amber apt bold brave bright brisk calm civil clear clever cosy crisp daring deft eager"
    " early easy exact fair fast fine firm fleet fond frank free fresh gentle glad golden good"
    " grand great happy hardy hearty honest humble jolly just keen kind lively loyal lucid lucky"
    " mellow merry mild modest neat nimble noble open patient plain proud quick quiet ready rosy"
    " serene sharp silent silver smart smooth sober solid sound spry steady still stout sunny sure"
    " swift tender thorough tidy tranquil true trusty upbeat vivid warm wise witty young zesty"
).split()
_PEOPLE = (
    "abel ampere archimedes babbage backus bell bernoulli bohr boole bose brahe cantor carson cerf"
    " church codd conway curie dalton darwin descartes dijkstra dirac einstein engelbart euclid"
    " euler faraday fermat fermi feynman fibonacci fourier franklin galileo galois gauss germain"
    " goedel goodall hamilton hamming hawking heisenberg hertz hilbert hopper hoare hubble huygens"
    " hypatia jacobi joule kepler knuth kovalevskaya lagrange lamarr lamport laplace leavitt"
    " leibniz liskov lovelace maxwell mccarthy meitner mendel mirzakhani naur newton noether ohm"
    " pascal pasteur perlis planck poincare ramanujan riemann ritchie shannon swartz tesla thompson"
    " torvalds turing volta watt weber wien wiles wilson wirth wozniak yalow zuse"
).split()


def generate(attempt: int = 0) -> str:
    """A name by chance; from the third attempt on with a number, for crowded engines."""
    chance = int.from_bytes(posix.urandom(4), "little")
    chance, quality = divmod(chance, len(_QUALITIES))
    chance, person = divmod(chance, len(_PEOPLE))
    number = str(chance % 10**attempt) if attempt > 1 else ""
    return f"{_QUALITIES[quality]}_{_PEOPLE[person]}{number}"
