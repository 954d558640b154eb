import ArgumentParser
import Yams
import PenstockServer
@main struct Penstock: ParsableCommand { }
