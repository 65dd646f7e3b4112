//! Connects to a socket, which makes it import `wasi:sockets`.

use consort_sdk::Error;

consort_guests::guest!(consort_guests::nothing, |x| {
    std::net::TcpStream::connect("127.0.0.1:1").map_err(Error::failed)?;
    Ok(x)
});
